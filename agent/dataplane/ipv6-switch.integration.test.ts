import { afterEach, beforeEach, expect, test } from 'vitest';
import { createIprouteHostNetwork } from './iproute-host-network.ts';
import { createNetworkNamespace, type NetworkNamespace } from './testing/network-namespace.ts';

let namespace: NetworkNamespace;

beforeEach(async () => {
  namespace = await createNetworkNamespace();
});

afterEach(() => namespace.remove());

async function switchIpv6(scope: string, isOn: boolean): Promise<void> {
  const path = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
  await namespace.runner.run('tee', [path], { stdin: isOn ? '0' : '1' });
}

test('an interface with IPv6 switched off comes up with its IPv4 address', async () => {
  const { interfaceName, run, runner } = namespace;
  const network = createIprouteHostNetwork({ interfaceName, runner });
  expect(await network.hasIpv6()).toBe(true);
  await switchIpv6('all', false);
  expect(await network.hasIpv6()).toBe(false);
  await run(`ip link add ${interfaceName} type veth`);
  expect(await network.hasIpv6()).toBe(false);
  await network.change({ addAddresses: ['100.64.0.1/32'], up: true });
  expect(await network.read()).toMatchObject({ isUp: true, addresses: ['100.64.0.1/32'] });
  await switchIpv6(interfaceName, true);
  expect(await network.hasIpv6()).toBe(true);
});

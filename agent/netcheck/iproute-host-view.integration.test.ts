import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createNetworkNamespace,
  type NetworkNamespace,
} from '../dataplane/testing/network-namespace.ts';
import { drawNetwork } from './core/network-picture.ts';
import { createIprouteHostView } from './iproute-host-view.ts';

let place: NetworkNamespace;

beforeAll(async () => {
  place = await createNetworkNamespace();
  await place.run('ip link add eth0 type veth peer name eth1');
  await place.run('ip link set eth1 up');
  await place.run('ip link set eth0 up mtu 1400');
  await place.run('ip address add 10.0.0.1/24 dev eth0');
  await place.run('ip address add 2001:db8:9::1/64 dev eth0 nodad');
});

afterAll(() => place?.remove());

async function picture() {
  const view = createIprouteHostView(place);
  const question = {
    interfaces: await view.interfaces(),
    tunnelInterface: place.interfaceName,
    vpcPrefixes: [],
  };
  return drawNetwork(question, await view.defaultRoutes());
}

test('addresses and routes of a machine are seen, and each change of them is another picture', async () => {
  const view = createIprouteHostView(place);
  const before = await picture();
  expect(before.own.usable.map(({ address }) => address)).toEqual(['10.0.0.1', '2001:db8:9::1']);
  expect(await view.routeTo('192.0.2.1')).toBeNull();
  await place.run('ip route add default via 10.0.0.2 metric 7');
  await place.run('ip route add 192.0.2.0/24 via 10.0.0.3 mtu 1300');
  const after = await picture();
  expect(after.fingerprint).not.toBe(before.fingerprint);
  expect(await view.defaultRoutes()).toEqual(['eth0 10.0.0.2 7']);
  expect(await view.routeTo('192.0.2.1')).toEqual({
    interfaceName: 'eth0',
    sourceAddress: '10.0.0.1',
    mtuBytes: 1_300,
  });
  expect((await view.routeTo('198.51.100.1'))?.mtuBytes).toBeUndefined();
  await place.run('ip link set eth1 down');
  expect((await picture()).own.unusable.map(({ reason }) => reason)).toContain('interface-down');
});

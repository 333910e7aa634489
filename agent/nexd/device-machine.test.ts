import { encodeSelfEntry } from '@nexodus/network-map';
import { silentLogger } from '@nexodus/telemetry';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import { afterEach, expect, test } from 'vitest';
import { createMemory } from '../core/device-model.ts';
import { createDataplane, createNames, type Names } from '../dataplane/index.ts';
import { createMemoryHost } from '../dataplane/memory-host.ts';
import { createDeviceMachine, type RemoteFacts } from './device-machine.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const now = (): Date => new Date('2030-01-01T00:00:00Z');
const inForce = {
  memory: createMemory(new Map()),
  traceparent: '',
  beforeApply: () => Promise.resolve(),
};
const self = encodeSelfEntry({
  deviceId: 'd',
  vpcId: 'v',
  vpcName: 'default',
  organizationId: 'o',
  hostname: 'a',
  ipv4Address: '100.64.0.1',
  ipv6Address: 'fd00::1',
  expireTimeSeconds: 0n,
  bindingSerial: 0n,
});
const facts: RemoteFacts = {
  deviceId: 'd',
  vpcId: 'v',
  ownWireGuardKey: '',
  enrolledAddresses: [],
  entries: new Map([[self.key, self.value]]),
  states: new Map(),
  withdrawal: undefined,
};

let names: Names | undefined;
afterEach(() => names?.down());

test('names are told to the machine again when its tunnel interface was made anew', async () => {
  const host = createMemoryHost();
  const told: string[] = [];
  names = createNames({
    resolver: {
      hook: 'systemd-resolved',
      route: async (_address, domain) => void told.push(domain),
      unroute: async () => void told.push('none'),
    },
    logger: quiet,
    listen: { address: '127.0.0.1', port: 0 },
  });
  const privateKey = WireGuardPrivateKey.generate();
  const machine = createDeviceMachine({
    interfaceName: 'nx0',
    listenPort: 0,
    dataplane: createDataplane({ ...host, privateKey, logger: quiet, now }),
    network: host.network,
    names,
    now,
    logger: silentLogger,
  });
  await machine.putInForce(facts, inForce);
  await machine.putInForce(facts, inForce);
  expect(told).toEqual(['default.nexodus']);
  host.meddle.removeInterface();
  expect(await machine.putInForce(facts, inForce)).toMatchObject({ failure: undefined });
  expect(told).toEqual(['default.nexodus', 'default.nexodus']);
  await machine.putInForce(facts, inForce);
  expect(told).toHaveLength(2);
});

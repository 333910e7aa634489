import { ManualClock } from '@nexodus/clock';
import type { ReachabilityMap } from '@nexodus/contracts/agent';
import { silentLogger } from '@nexodus/telemetry';
import { expect, test, vi } from 'vitest';
import type { IpInterface } from '../dataplane/core/ip-output.ts';
import { DIRECT } from '../service-access/proxy-settings.ts';
import type { HostView } from './host-view.ts';
import { NetworkSelf } from './network-self.ts';
import { createFakeSocket } from './stun-socket.fixture.ts';

const map: ReachabilityMap = {
  relays: [],
  stunServers: [{ region: '', addresses: ['192.0.2.1:3478', '192.0.2.2:3478', '[2001:db8::1]:1'] }],
};
const tunnel = { tunnelPort: 51_820, isPortShared: true, bytes: 0, vpcPrefixes: [] };

function eth0(address: string): IpInterface {
  return {
    index: 2,
    name: 'eth0',
    mtuBytes: 1_500,
    isUp: true,
    hasCarrier: true,
    isLoopback: false,
    isTunnel: false,
    kind: '',
    alias: '',
    addresses: [
      {
        address,
        prefixLength: 24,
        isIpv6: false,
        isLinkLocal: false,
        isUsable: true,
        isTemporary: false,
        preferredSeconds: Infinity,
      },
    ],
  };
}

function start() {
  const clock = new ManualClock(1_000_000);
  const portSocket = createFakeSocket({ address: '203.0.113.1', port: 51_820 });
  const host = { address: '192.168.1.2', routes: ['eth0 192.168.1.1 0'] };
  const view: HostView = {
    interfaces: async () => [eth0(host.address)],
    defaultRoutes: async () => host.routes,
    routeTo: async () => ({ interfaceName: 'eth0', sourceAddress: '', mtuBytes: undefined }),
  };
  const onChange = vi.fn<() => void>();
  const self = new NetworkSelf({
    view,
    portSocket,
    tunnelInterface: 'nx0',
    clock,
    random: () => 0,
    logger: silentLogger,
    onChange,
  });
  return { clock, portSocket, host, onChange, self };
}

/** A network that was seen, with an outside address. */
async function startSeen() {
  const parts = start();
  await parts.self.look();
  parts.self.tellMap(map);
  parts.self.tellTunnel(tunnel);
  await vi.waitFor(() => expect(parts.self.mapped).toHaveLength(2));
  return parts;
}

test('the outside address is asked for once port and servers are known, of the families at hand', async () => {
  const { self, portSocket, onChange } = await startSeen();
  expect(portSocket.asked).toEqual(['192.0.2.1', '192.0.2.2']);
  expect(self.mapped.map(({ mapped }) => mapped)).toEqual([
    { address: '203.0.113.1', port: 51_820 },
    { address: '203.0.113.1', port: 51_820 },
  ]);
  expect(onChange).toHaveBeenCalledTimes(2);
  self.close();
});

test('a tunnel that nothing uses sends nothing; one that is used asks every 20 s at least', async () => {
  const { self, portSocket, clock } = await startSeen();
  clock.advance(600_000);
  expect(portSocket.asked).toHaveLength(2);
  self.tellTunnel({ ...tunnel, bytes: 148 });
  expect(portSocket.asked).toHaveLength(4);
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(19_999);
  expect(portSocket.asked).toHaveLength(4);
  clock.advance(1);
  expect(portSocket.asked).toHaveLength(6);
  self.close();
});

test('another network is noticed and asked for at once, the same one is not', async () => {
  const { self, portSocket, host, onChange } = await startSeen();
  onChange.mockClear();
  await self.look();
  expect(portSocket.asked).toHaveLength(2);
  portSocket.mapped = { address: '203.0.113.9', port: 7 };
  host.routes = ['wlan0 10.0.0.1 0'];
  await self.look();
  expect(portSocket.asked).toHaveLength(4);
  await vi.waitFor(() => expect(self.mapped[0]?.mapped.port).toBe(7));
  expect(onChange).toHaveBeenCalledTimes(2);
  self.close();
});

test('without a shared port nothing is asked and no outside address is told', async () => {
  const { self, portSocket } = await startSeen();
  self.tellTunnel({ ...tunnel, isPortShared: false });
  expect(self.mapped).toEqual([]);
  portSocket.asked.length = 0;
  await self.look();
  self.tellMap({ ...map, stunServers: [] });
  expect(portSocket.asked).toEqual([]);
  self.close();
});

test('two checks at a time are one', async () => {
  const { self } = start();
  const standing = { relays: [], homeRelayId: '', access: { caPem: undefined, proxies: DIRECT } };
  const [first, second] = await Promise.all([self.check(standing), self.check(standing)]);
  expect(first).toBe(second);
  expect(first).toMatchObject({
    ipv4: { isUsable: true, verdict: { kind: 'unknown' } },
    ipv6: { isUsable: false },
    mtu: undefined,
    udp443: 'no-server',
  });
  self.close();
});

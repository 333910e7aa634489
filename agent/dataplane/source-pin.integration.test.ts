/** A pair under traffic moves from a relay to the direct path and back, with pins and real tunnels. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@nexodus/clock/testing';
import { createVirtualNetwork, iperf3, startPing, type VirtualHost } from '@nexodus/netsim';
import { formatX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCommandRunner } from './command-runner.ts';
import { createNftablesSourcePin } from './nftables-source-pin.ts';
import type { SourcePin } from './source-pin.ts';
import type { Tunnel } from './tunnel.ts';
import { createWireguardGoTunnel } from './wireguard-go-tunnel.ts';

const PORT = 51_820;

interface End {
  readonly host: VirtualHost;
  readonly address: string;
  readonly key: string;
  readonly tunnel: Tunnel;
  readonly pin: SourcePin;
}

let stack: AsyncDisposableStack;
let relay: VirtualHost;
let ends: readonly [End, End];

beforeEach(async () => {
  await using undo = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-pin-'));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const network = undo.use(await createVirtualNetwork());
  const lan = await network.switch('lan', { ipv4: '192.0.2.0/24', ipv6: '2001:db8::/64' });
  relay = await network.host('relay', [{ switch: lan }]);
  const keys = [WireGuardPrivateKey.generate(), WireGuardPrivateKey.generate()] as const;
  const open = async (side: 0 | 1): Promise<End> => {
    const host = await network.host(`end${side}`, [{ switch: lan }]);
    const end = await openEnd(host, { privateKey: keys[side], folder, side });
    undo.defer(() => end.tunnel.remove());
    return end;
  };
  ends = [await open(0), await open(1)];
  await relay.run('sysctl', [
    '-q',
    '-w',
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
  ]);
  await relay.run('nft', ['-f', '-'], { stdin: relayRules(relay, ends) });
  stack = undo.move();
});

afterEach(() => stack?.disposeAsync());

async function openEnd(
  host: VirtualHost,
  { folder, privateKey, side }: { folder: string; privateKey: WireGuardPrivateKey; side: 0 | 1 },
): Promise<End> {
  const runner = createCommandRunner({ prefix: ['ip', 'netns', 'exec', host.namespace] });
  const interfaceName = `pin${host.namespace.slice(-8)}${side}`.slice(0, 15);
  const stateDir = join(folder, host.name);
  const tunnel = createWireguardGoTunnel({ interfaceName, stateDir, runner });
  await tunnel.create({ privateKey, listenPort: PORT });
  const address = `100.64.0.${side + 1}`;
  await host.run('ip', ['address', 'add', `${address}/24`, 'dev', interfaceName]);
  await host.run('ip', ['link', 'set', interfaceName, 'mtu', '1280', 'up']);
  const pin = createNftablesSourcePin({ interfaceName, runner });
  return { host, address, key: formatX25519PublicKey(privateKey.publicKey), tunnel, pin };
}

/** Ports 20000 and 20001 of the relay are the ends of one pair, by the kernel alone, as a relay's are. */
function relayRules({ ipv4, ipv6 }: VirtualHost, [a, b]: readonly [End, End]): string {
  const way = (from: End, to: End, [port, leaves]: readonly [number, number]): string => `
  ip saddr ${from.host.ipv4} udp dport ${port} notrack meta mark set 1 ip daddr set ${to.host.ipv4} udp dport set ${PORT} udp sport set ${leaves}
  ip6 saddr ${from.host.ipv6} udp dport ${port} notrack meta mark set 1 ip6 daddr set ${to.host.ipv6} udp dport set ${PORT} udp sport set ${leaves}`;
  return `table inet relay {
 chain pre { type filter hook prerouting priority -300; policy accept;${way(a, b, [20_000, 20_001])}${way(b, a, [20_001, 20_000])}
 }
 chain post { type filter hook postrouting priority 0; policy accept;
  meta mark 1 ip saddr set ${ipv4}
  meta mark 1 ip6 saddr set ${ipv6}
 }
}
`;
}

type Family = 4 | 6;
const hostOf = ({ host }: { host: VirtualHost }, family: Family): string =>
  family === 4 ? host.ipv4 : `[${host.ipv6}]`;
const relayed = (side: 0 | 1, family: Family): string =>
  `${hostOf({ host: relay }, family)}:${20_000 + side}`;
const direct = (side: 0 | 1, family: Family): string =>
  `${hostOf(ends[side === 0 ? 1 : 0], family)}:${PORT}`;

async function pointAt(side: 0 | 1, endpoint: string): Promise<void> {
  const peer = ends[side === 0 ? 1 : 0];
  const setting = { publicKey: peer.key, allowedIps: [`${peer.address}/32`], endpoint };
  const set = [{ ...setting, persistentKeepaliveSeconds: 0 }];
  await ends[side].tunnel.applyPeerChanges({ remove: [], set });
}

/** Both sides, one a while after the other, as it is where nobody knows the other's time. */
async function move(from: typeof relayed, to: typeof relayed, family: Family): Promise<void> {
  for (const side of [0, 1] as const) {
    await ends[side].pin.install(PORT, [{ from: from(side, family), to: to(side, family) }]);
    await pointAt(side, to(side, family));
  }
}

async function endpoints(): Promise<readonly (string | undefined)[]> {
  const readings = await Promise.all(ends.map(({ tunnel }) => tunnel.read()));
  return readings.map((reading) => reading?.peers[0]?.endpoint);
}

describe.for([4, 6] as const)('over IPv%i a pair under traffic', (family) => {
  beforeEach(async () => {
    await pointAt(0, relayed(0, family));
    await pointAt(1, relayed(1, family));
    const [a, b] = ends;
    await eventually(
      async () => {
        const one = await a.host.exec('ping', ['-c', '1', '-W', '0.3', b.address]);
        expect(one.exitCode).toBe(0);
      },
      { timeoutMs: 30_000 },
    );
    expect(await endpoints()).toEqual([relayed(0, family), relayed(1, family)]);
  });

  test('moves to the direct path and back to the relay, and loses no packet', async () => {
    const [a, b] = ends;
    const running = [
      await startPing(a.host, b.address, { intervalMs: 5 }),
      await startPing(b.host, a.address, { intervalMs: 5 }),
    ];
    const goOn = async (): Promise<void> => {
      const before = running.map(({ lastAnswered }) => lastAnswered);
      await eventually(() => {
        for (const [index, { lastAnswered }] of running.entries())
          expect(lastAnswered).toBeGreaterThan((before[index] ?? 0) + 200);
      });
    };
    await goOn();
    await move(relayed, direct, family);
    await goOn();
    expect(await endpoints()).toEqual([direct(0, family), direct(1, family)]);
    await move(direct, relayed, family);
    await goOn();
    expect(await endpoints()).toEqual([relayed(0, family), relayed(1, family)]);
    for (const end of ends) await end.pin.install(PORT, []);
    await goOn();
    expect(await endpoints()).toEqual([relayed(0, family), relayed(1, family)]);
    for (const ping of running) expect((await ping.stop()).lost).toEqual([]);
  });

  test('moves while TCP flows in one direction, which hardly notices', async () => {
    const [a, b] = ends;
    const flow = iperf3({ server: b.host, client: a.host, address: b.address, seconds: 4 });
    await eventually(async () => {
      const reading = await b.tunnel.read();
      expect(reading?.peers[0]?.rxBytes).toBeGreaterThan(10_000_000);
    });
    await move(relayed, direct, family);
    const { retransmits } = await flow;
    expect(await endpoints()).toEqual([direct(0, family), direct(1, family)]);
    expect(retransmits).toBeLessThanOrEqual(5);
  });
});

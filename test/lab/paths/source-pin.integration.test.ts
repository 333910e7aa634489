/** A pair under traffic moves from a relay to the direct path and back, with pins and real tunnels. */
import { eventually } from '@nexodus/clock/testing';
import { iperf3, startPing, type VirtualHost } from '@nexodus/netsim';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openTunnelEnds, TUNNEL_PORT, type TunnelEnds } from './tunnel-ends.ts';

let tunnel: TunnelEnds;

beforeEach(async () => {
  tunnel = await openTunnelEnds();
  const { third: relay } = tunnel;
  const forwarding = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];
  await relay.run('sysctl', ['-q', '-w', ...forwarding]);
  await relay.run('nft', ['-f', '-'], { stdin: relayRules(tunnel) });
});

afterEach(() => tunnel?.[Symbol.asyncDispose]());

/** Ports 20000 and 20001 of the third machine are the ends of one pair, by the kernel alone, as a relay's are. */
function relayRules({ ends: [a, b], third }: TunnelEnds): string {
  const way = (
    from: VirtualHost,
    to: VirtualHost,
    [port, leaves]: readonly [number, number],
  ): string => `
  ip saddr ${from.ipv4} udp dport ${port} notrack meta mark set 1 ip daddr set ${to.ipv4} udp dport set ${TUNNEL_PORT} udp sport set ${leaves}
  ip6 saddr ${from.ipv6} udp dport ${port} notrack meta mark set 1 ip6 daddr set ${to.ipv6} udp dport set ${TUNNEL_PORT} udp sport set ${leaves}`;
  return `table inet relay {
 chain pre { type filter hook prerouting priority -300; policy accept;${way(a.host, b.host, [20_000, 20_001])}${way(b.host, a.host, [20_001, 20_000])}
 }
 chain post { type filter hook postrouting priority 0; policy accept;
  meta mark 1 ip saddr set ${third.ipv4}
  meta mark 1 ip6 saddr set ${third.ipv6}
 }
}
`;
}

type Family = 4 | 6;
const addressOf = (host: VirtualHost, family: Family): string =>
  family === 4 ? host.ipv4 : `[${host.ipv6}]`;
const relayed = (side: 0 | 1, family: Family): string =>
  `${addressOf(tunnel.third, family)}:${20_000 + side}`;
const direct = (side: 0 | 1, family: Family): string =>
  `${addressOf(tunnel.ends[side === 0 ? 1 : 0].host, family)}:${TUNNEL_PORT}`;

/** Both sides, one a while after the other, as it is where nobody knows the other's time. */
async function move(from: typeof relayed, to: typeof relayed, family: Family): Promise<void> {
  for (const side of [0, 1] as const) {
    const pin = { from: from(side, family), to: to(side, family) };
    await tunnel.ends[side].sourcePin.install(TUNNEL_PORT, [pin]);
    await tunnel.pointAt(side, to(side, family));
  }
}

describe.for([4, 6] as const)('over IPv%i a pair under traffic', (family) => {
  const both = (where: typeof relayed): string[] => [where(0, family), where(1, family)];

  beforeEach(async () => {
    await tunnel.pointAt(0, relayed(0, family));
    await tunnel.pointAt(1, relayed(1, family));
    await tunnel.connected();
    expect(await tunnel.endpoints()).toEqual(both(relayed));
  });

  test('moves to the direct path and back to the relay, and loses no packet', async () => {
    const [a, b] = tunnel.ends;
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
    expect(await tunnel.endpoints()).toEqual(both(direct));
    await move(direct, relayed, family);
    await goOn();
    expect(await tunnel.endpoints()).toEqual(both(relayed));
    for (const { sourcePin } of tunnel.ends) await sourcePin.install(TUNNEL_PORT, []);
    await goOn();
    expect(await tunnel.endpoints()).toEqual(both(relayed));
    for (const ping of running) expect((await ping.stop()).lost).toEqual([]);
  });

  test('moves while TCP flows in one direction, which hardly notices', async () => {
    const [a, b] = tunnel.ends;
    const flow = iperf3({ server: b.host, client: a.host, address: b.address, seconds: 4 });
    await eventually(async () => {
      const reading = await b.tunnel.read();
      expect(reading?.peers[0]?.rxBytes).toBeGreaterThan(10_000_000);
    });
    await move(relayed, direct, family);
    const { retransmits } = await flow;
    expect(await tunnel.endpoints()).toEqual(both(direct));
    expect(retransmits).toBeLessThanOrEqual(5);
  });
});

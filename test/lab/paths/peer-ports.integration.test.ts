/** A tunnel that reaches one peer by the port of another socket, as behind a NAT that a birthday attempt got through. */
import { iperf3, ping } from '@nexodus/netsim';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openUdpSocket } from '../nat/udp-socket.ts';
import { openTunnelEnds, TUNNEL_PORT, type TunnelEnds } from './tunnel-ends.ts';

/** First bytes of the agent's datagrams, as text. */
const MAGIC = '\u{f5}WM1';

let tunnel: TunnelEnds;

beforeEach(async () => {
  tunnel = await openTunnelEnds();
});

afterEach(() => tunnel?.[Symbol.asyncDispose]());

test.for([4, 6] as const)(
  'over IPv%i the peer sees that port alone, and the agent is heard by it',
  async (family) => {
    const [a, b] = tunnel.ends;
    const addressOf = ({ host }: typeof a): string => (family === 4 ? host.ipv4 : host.ipv6);
    const textOf = (end: typeof a, port: number): string =>
      family === 4 ? `${addressOf(end)}:${port}` : `[${addressOf(end)}]:${port}`;
    await using agent = await openUdpSocket(a.host, { family });
    await using found = await openUdpSocket(a.host, { family });
    await using prober = await openUdpSocket(b.host, { family });
    const shared = { tunnelPort: TUNNEL_PORT, ipv4: agent.port, ipv6: agent.port };
    await a.portShare.install(shared);
    const peers = [TUNNEL_PORT, prober.port].map((port) => textOf(b, port));
    await a.peerPorts.install(
      TUNNEL_PORT,
      peers.map((peer) => ({ peer, ownPort: found.port })),
    );
    await tunnel.pointAt(0, textOf(b, TUNNEL_PORT));
    await tunnel.pointAt(1, textOf(a, found.port));
    await tunnel.connected();
    const echoes = await ping(a.host, b.address, { count: 50, intervalMs: 10 });
    expect(echoes.lost).toEqual([]);
    const flow = { server: b.host, client: a.host, address: b.address, seconds: 1 };
    expect((await iperf3(flow)).bitsPerSecond).toBeGreaterThan(50_000_000);
    // A probe of the peer reaches the agent, and its answer leaves from the port that the probe came to.
    prober.send(`${MAGIC}ask`, { address: addressOf(a), port: found.port });
    const from = await agent.received(`${MAGIC}ask`);
    expect(from).toEqual({ address: addressOf(b), port: prober.port });
    agent.send(`${MAGIC}answer`, from);
    const { port } = await prober.received(`${MAGIC}answer`);
    expect(port).toBe(found.port);
    expect(await tunnel.endpoints()).toEqual([textOf(b, TUNNEL_PORT), textOf(a, found.port)]);
    // Everybody else knows the tunnel's own port.
    await using stranger = await openUdpSocket(tunnel.third, { family });
    const third = family === 4 ? tunnel.third.ipv4 : tunnel.third.ipv6;
    agent.send(`${MAGIC}to another`, { address: third, port: stranger.port });
    expect((await stranger.received(`${MAGIC}to another`)).port).toBe(TUNNEL_PORT);
    expect(found.texts()).toEqual([]);
  },
);

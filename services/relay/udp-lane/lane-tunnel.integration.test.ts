import { readFile } from 'node:fs/promises';
import { eventually } from '@nexodus/clock/testing';
import { iperf3, ping, startPing } from '@nexodus/netsim';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LaneHostConfig } from './lane-host.fixture.ts';
import {
  dataMessage,
  type Endpoint,
  type HostedLane,
  labSession,
  type LabSession,
  LaneLab,
  placeOf,
} from './lane-lab.fixture.ts';
import { Tunnel } from './lane-tunnel.fixture.ts';
import { machineState } from './udp-lane.contract.ts';

/** The laboratory of the running test; all but some use the same. */
let lab: LaneLab;
let plainLab: LaneLab;
let lane: HostedLane;
let session: LabSession;
let tunnels: Tunnel[] = [];
let ids = 0n;

beforeAll(async () => {
  plainLab = await LaneLab.open();
  lab = plainLab;
});
afterAll(async () => {
  await plainLab.close();
});
afterEach(async () => {
  for (const tunnel of tunnels) await tunnel.stop();
  tunnels = [];
  await lane.stop();
  await lane.talker.process.stop();
  if (lab !== plainLab) await lab.close();
  lab = plainLab;
});

const byKernel = (): Partial<LaneHostConfig> => ({ offload: { stateFile: lab.stateFile } });

/** A lane with a session, and a tunnel at both of its ends that points nowhere yet. */
async function open(config: Partial<LaneHostConfig>, families: readonly [4 | 6, 4 | 6] = [4, 4]) {
  lane = await lab.startLane(config);
  session = labSession((ids += 1n));
  const place = await lane.open(session);
  const ports = [placeOf(place?.[0], families[0]), placeOf(place?.[1], families[1])] as const;
  const alpha = await Tunnel.start(lab, { peer: lab.alpha, side: 0, session });
  const beta = await Tunnel.start(lab, { peer: lab.beta, side: 1, session });
  tunnels = [alpha, beta];
  return { alpha, beta, ports };
}

/** Points both ends at the relay and waits for the first answer. */
async function connect(
  [alpha, beta]: readonly [Tunnel, Tunnel],
  ports: readonly [Endpoint, Endpoint],
): Promise<void> {
  await alpha.pointAt(ports[0], 25);
  await beta.pointAt(ports[1], 25);
  await eventually(
    async () => {
      const { received } = await ping(alpha.peer.host, beta.address, {
        count: 1,
        replyTimeoutMs: 300,
      });
      return received === 1;
    },
    { timeoutMs: 30_000 },
  );
}

describe('WireGuard through a relay', () => {
  test.each([
    ['the kernel', 4, 4, 'kernel'],
    ['the kernel', 6, 6, 'kernel'],
    ['the kernel where it can', 4, 6, 'families'],
    ['batched sockets', 4, 4, 'offload'],
    ['plain sockets', 6, 4, 'families'],
  ] as const)(
    'by %s, from IPv%i to IPv%i, comes up by handshakes alone and loses nothing',
    async (how, first, second, carrier) => {
      const config: Partial<LaneHostConfig> = how.startsWith('the kernel')
        ? byKernel()
        : { adapter: how === 'plain sockets' ? 'dgram' : 'koffi' };
      const { alpha, beta, ports } = await open(config, [first, second]);
      await connect([alpha, beta], ports);
      const echoes = await ping(alpha.peer.host, beta.address, { count: 100, intervalMs: 10 });
      expect(echoes.lost).toEqual([]);
      const large = await ping(beta.peer.host, alpha.address, {
        count: 5,
        intervalMs: 10,
        sizeBytes: 1_252,
      });
      expect(large.lost).toEqual([]);
      const rate = await iperf3({
        server: beta.peer.host,
        client: alpha.peer.host,
        address: beta.address,
        seconds: 1,
      });
      expect(rate.bitsPerSecond).toBeGreaterThan(10_000_000);
      const { carriedBy, carriedBytes, datagrams } = await lane.statistics();
      expect(carriedBy[carrier]).toBe(1);
      const carried = carrier === 'kernel' ? carriedBytes.kernel : carriedBytes.sockets;
      expect(carried).toBeGreaterThan(rate.bitsPerSecond / 8 / 2);
      expect(datagrams['mac1']).toBe(0);
    },
  );

  test('registers from its own port and is locked before any handshake', async () => {
    const { alpha, beta, ports } = await open(byKernel());
    expect(await alpha.register(ports[0])).toBe(true);
    expect(await beta.register(ports[1])).toBe(true);
    await alpha.pointAt(ports[0]);
    await beta.pointAt(ports[1]);
    const echoes = await ping(alpha.peer.host, beta.address, { count: 20, intervalMs: 20 });
    expect(echoes.lost).toEqual([]);
    expect((await lane.statistics()).datagrams.answered).toBe(4);
  });

  test('is not moved, disturbed or answered to by a stranger who replays, forges and floods', async () => {
    const { alpha, beta, ports } = await open(byKernel());
    const { stranger } = lab;
    const name = `stranger${session.id}`;
    const trap = await stranger.bind(name, stranger.host.ipv4);
    await alpha.pointAt(trap);
    await alpha.peer.host.exec('ping', ['-c', '1', '-W', '0.1', beta.address]);
    const initiation = await eventually(
      () => stranger.received(name).find((hex) => hex.startsWith('01000000')) ?? false,
    );
    await connect([alpha, beta], ports);
    const replay = Buffer.from(initiation, 'hex');
    const flipped = Uint8Array.from(replay);
    flipped[60] = (flipped[60] ?? 0) ^ 1;
    const registration = Uint8Array.from({ length: 56 }, (_unused, index) =>
      index < 5 ? [0xf5, 0x57, 0x4d, 0x31, 0x10][index]! : 0,
    );
    const echoes = await startPing(alpha.peer.host, beta.address, { intervalMs: 20 });
    for (const bytes of [replay, flipped, dataMessage(1), registration, new Uint8Array(200)]) {
      stranger.send(name, ports[0], bytes, 20);
      stranger.send(name, ports[1], bytes, 20);
    }
    const heardBefore = stranger.received(name).length;
    const before = echoes.lastAnswered;
    await eventually(() => echoes.lastAnswered >= before + 150);
    expect((await echoes.stop()).lost).toEqual([]);
    expect(stranger.received(name).length).toBe(heardBefore);
    const { datagrams, prefiltered } = await lane.statistics();
    expect(datagrams.mac1).toBeGreaterThanOrEqual(20);
    expect(datagrams['registration-refused']).toBe(40);
    expect(prefiltered.junk).toBe(40);
  });

  test('that gets another address is found again within a second by its registration', async () => {
    const { alpha, beta, ports } = await open(byKernel());
    await alpha.register(ports[0]);
    await beta.register(ports[1]);
    await connect([alpha, beta], ports);
    const echoes = await startPing(beta.peer.host, alpha.address, { intervalMs: 20 });
    await echoes.waitForReply({ deadlineMs: 10_000 });
    await alpha.peer.host.run('nft', ['-f', '-'], { stdin: OTHER_ADDRESS_RULES });
    // Its next packets come from elsewhere: the relay says so, and the device registers.
    const movedAt = echoes.lastAnswered;
    alpha.peer.host
      .exec('ping', ['-c', '3', '-i', '0.1', '-W', '0.1', beta.address])
      .catch(() => {});
    const roamed = await lane.talker.hear('roamed');
    expect(roamed).toMatchObject({ id: session.hosted.id, side: 0 });
    expect(await alpha.register(ports[0])).toBe(true);
    await echoes.waitForReply({ deadlineMs: 10_000, after: movedAt + 5 });
    const { lost } = await echoes.stop();
    await alpha.peer.host.run('nft', ['delete', 'table', 'ip', 'elsewhere']);
    expect(lost.length * 20).toBeLessThanOrEqual(1_000);
    await eventually(async () => (await lane.statistics()).carriedBy.kernel === 1);
  });

  test('ends within a second when its session is closed, though the kernel carries it', async () => {
    const { alpha, beta, ports } = await open(byKernel());
    await connect([alpha, beta], ports);
    expect((await lane.statistics()).carriedBy.kernel).toBe(1);
    const echoes = await startPing(alpha.peer.host, beta.address, { intervalMs: 20 });
    await echoes.waitForReply({ deadlineMs: 10_000 });
    const closedAtMs = performance.now();
    lane.close(session);
    await lane.statistics();
    const tookMs = performance.now() - closedAtMs;
    const last = echoes.lastAnswered;
    await expect(echoes.waitForReply({ deadlineMs: 1_500, after: last + 10 })).rejects.toThrow(
      /reply|answer|deadline/i,
    );
    await echoes.stop();
    expect(tookMs).toBeLessThan(1_000);
  });
});

describe('a path too narrow for WireGuard packets', () => {
  test.each([
    ['the kernel', 4, 1_300, 'kernel'],
    ['the kernel', 6, 1_300, 'narrow'],
    ['the kernel', 6, 1_280, 'narrow'],
    ['batched sockets', 4, 1_280, 'offload'],
    ['batched sockets', 6, 1_300, 'offload'],
  ] as const)(
    'by %s over IPv%i with %i bytes carries full packets and ten megabytes',
    async (how, family, narrowBytes, carrier) => {
      lab = await LaneLab.open({ narrowBytes });
      const config = how === 'the kernel' ? byKernel() : { adapter: 'koffi' as const };
      const { alpha, beta, ports } = await open(config, [family, family]);
      await connect([alpha, beta], ports);
      await eventually(async () => {
        const size = { count: 1, sizeBytes: 1_252, replyTimeoutMs: 300 };
        return (await ping(alpha.peer.host, beta.address, size)).received === 1;
      });
      const tenMegabytes = ['-c', beta.address, '-n', '10M', '-J'];
      await using server = await beta.peer.host.spawn('iperf3', ['-s', '-1', '--forceflush']);
      await server.waitForLine(/^Server listening/, { deadlineMs: 10_000 });
      await alpha.peer.host.run('iperf3', tenMegabytes, { timeoutMs: 30_000 });
      expect((await lane.statistics()).carriedBy[carrier]).toBe(1);
    },
  );
});

describe('the kernel', () => {
  test('that drops what it was told to carry is found out, and the sockets carry it', async () => {
    await lab.relay.run('nft', ['-f', '-'], { stdin: CLOSED_FORWARD_RULES });
    const { alpha, beta, ports } = await open(byKernel());
    await connect([alpha, beta], ports);
    await eventually(async () => (await lane.statistics()).carriedBy.refused === 1);
    const echoes = await ping(alpha.peer.host, beta.address, { count: 50, intervalMs: 10 });
    expect(echoes.lost).toEqual([]);
    await lab.relay.run('nft', ['delete', 'table', 'ip', 'closed']);
  });

  test('is put back by the next lane after one was killed', async () => {
    const before = await machineState(lab);
    const { alpha, beta, ports } = await open(byKernel());
    await connect([alpha, beta], ports);
    for (const tunnel of tunnels) await tunnel.stop();
    tunnels = [];
    await lane.talker.process.stop({ signal: 'SIGKILL' });
    expect(await machineState(lab)).not.toEqual(before);
    expect(JSON.parse(await readFile(lab.stateFile, 'utf8'))).toMatchObject({
      '/proc/sys/net/ipv4/conf/eth0/forwarding': '0',
    });
    lane = await lab.startLane(byKernel());
    await lane.stop();
    expect(await machineState(lab)).toEqual(before);
    lane = await lab.startLane();
  });

  test('forwards nothing else on its interfaces meanwhile', async () => {
    const { alpha, beta } = await open(byKernel());
    const { ipv4, ipv6 } = lab.relay;
    const through = async (destination: string, gateway: string): Promise<number> => {
      const { host } = alpha.peer;
      await host.run('ip', ['route', 'add', destination, 'via', gateway]);
      // One only: the relay's kernel redirects (RFC 792) to what is on the same link, whatever its firewall drops.
      const { received } = await ping(host, destination, { count: 1, replyTimeoutMs: 500 });
      await host.run('ip', ['route', 'del', destination]);
      return received;
    };
    const stranger = lab.stranger.host;
    expect(await through(stranger.ipv4, ipv4)).toBe(0);
    expect(await through(beta.peer.host.ipv6, ipv6)).toBe(0);
  });
});

/** What a NAT in front of a device does when it forgets: another port, in both directions, for all packets. */
const OTHER_ADDRESS_RULES = `table ip elsewhere {
 chain out { type filter hook postrouting priority 100; policy accept;
  udp sport 51820 udp sport set 61820
 }
 chain in { type filter hook prerouting priority -310; policy accept;
  udp dport 61820 udp dport set 51820
 }
}
`;

/** A host whose firewall lets nothing be forwarded, as that of containers. */
const CLOSED_FORWARD_RULES = `table ip closed {
 chain forward { type filter hook forward priority 10; policy drop;
 }
}
`;

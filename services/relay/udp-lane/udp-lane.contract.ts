import { eventually } from '@nexodus/clock/testing';
import { encodeRegistration } from '@nexodus/relay-registration';
import { parseIpAddress } from '@nexodus/netip';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { HostedSession, LaneHostConfig } from './lane-host.fixture.ts';
import {
  dataMessage,
  type Endpoint,
  type HostedLane,
  labSession,
  type LabSession,
  LaneLab,
  placeOf,
} from './lane-lab.fixture.ts';
import type { UdpLaneTechnology } from './udp-lane.ts';

/** A pair whose two sides are locked. */
interface JoinedPair {
  readonly session: LabSession;
  /** Where each side sends to. */
  readonly ports: readonly [Endpoint, Endpoint];
  /** Where each side is. */
  readonly homes: readonly [Endpoint, Endpoint];
  readonly names: readonly [string, string];
}

/** The promises of UdpLane, for one technology, between virtual hosts. Needs root. */
export function udpLaneContract(technology: UdpLaneTechnology, threads?: number): void {
  const name = threads === undefined ? technology : `${technology} in ${threads} threads`;
  describe(`the lane by ${name}`, () => {
    let lab: LaneLab;
    let lane: HostedLane;
    let sessions = 0n;

    beforeAll(async () => {
      lab = await LaneLab.open();
    });
    afterAll(async () => {
      await lab.close();
    });
    afterEach(async () => {
      await lane.stop();
      await lane.talker.process.stop();
    });

    const start = async (config: Partial<LaneHostConfig> = {}): Promise<void> => {
      const own: Partial<LaneHostConfig> =
        technology === 'nft' ? { offload: { stateFile: lab.stateFile } } : { adapter: technology };
      lane = await lab.startLane({ ...own, ...config, ...(threads !== undefined && { threads }) });
    };

    const join = async (
      families: readonly [4 | 6, 4 | 6],
      limits: Partial<HostedSession> = {},
    ): Promise<JoinedPair> => {
      const session = labSession((sessions += 1n), limits);
      const place = await lane.open(session);
      const ports = [placeOf(place?.[0], families[0]), placeOf(place?.[1], families[1])] as const;
      const names = [`a${session.id}`, `b${session.id}`] as const;
      const { alpha, beta } = lab;
      const address = (host: { ipv4: string; ipv6: string }, family: 4 | 6) =>
        family === 4 ? host.ipv4 : host.ipv6;
      const homes = [
        await alpha.bind(names[0], address(alpha.host, families[0])),
        await beta.bind(names[1], address(beta.host, families[1])),
      ] as const;
      await lab.register(session, 0, { peer: alpha, name: names[0], from: homes[0], to: ports[0] });
      await lab.register(session, 1, { peer: beta, name: names[1], from: homes[1], to: ports[1] });
      return { session, ports, homes, names };
    };

    const passes = async ({ names, ports }: JoinedPair, number: number, length = 64) => {
      const [there, back] = [dataMessage(number, length), dataMessage(number + 1, length)];
      lab.alpha.send(names[0], ports[0], there);
      await lab.beta.receives(names[1], there);
      lab.beta.send(names[1], ports[1], back);
      await lab.alpha.receives(names[0], back);
    };

    test('says what it is and how many sessions it can carry', async () => {
      await start();
      expect(lane.talker.all('started')).toMatchObject([{ technology, capacity: 100 }]);
    });

    test.each([
      [4, 4],
      [6, 6],
      [4, 6],
    ] as const)('carries data between locked sides of IPv%i and IPv%i', async (first, second) => {
      await start();
      const pair = await join([first, second]);
      for (let number = 0; number < 20; number += 2) await passes(pair, number);
      const from = lab.beta.talker.all('received').find(({ name }) => name === pair.names[1])?.from;
      expect(from?.port).toBe(pair.ports[1].port);
      const { carriedBy, carriedBytes } = await lane.statistics();
      const isKernel = technology === 'nft' && first === second;
      expect(carriedBytes[isKernel ? 'kernel' : 'sockets']).toBe(20 * 64);
      const carrier = first === second ? (isKernel ? 'kernel' : 'offload') : 'families';
      expect(carriedBy[carrier]).toBe(1);
    });

    test.each([4, 6] as const)('carries datagrams in fragments over IPv%i', async (family) => {
      await start();
      const pair = await join([family, family]);
      await passes(pair, 1, 1_472);
      await passes(pair, 3, 3_000);
      await passes(pair, 5, 9_000);
    });

    test('gives a stranger nothing and takes nothing from it', async () => {
      await start();
      const pair = await join([4, 4]);
      const name = `s${pair.session.id}`;
      await lab.stranger.bind(name, lab.stranger.host.ipv4);
      const stolen = encodeRegistration(
        {
          sessionId: pair.session.id,
          side: 0,
          timestamp: 1n,
          observed: { address: parseIpAddress(pair.homes[0].address), port: pair.homes[0].port },
        },
        pair.session.registrationKeys[0],
      );
      const initiation = new Uint8Array(148).fill(1, 0, 1);
      for (const bytes of [dataMessage(9), stolen, initiation, new Uint8Array(500)]) {
        lab.stranger.send(name, pair.ports[0], bytes, 20);
      }
      await passes(pair, 1);
      expect(lab.beta.received(pair.names[1])).not.toContain(
        Buffer.from(dataMessage(9)).toString('hex'),
      );
      await eventually(async () => {
        const { datagrams, prefiltered } = await lane.statistics();
        const refused =
          datagrams['unknown-source'] +
          datagrams.mac1 +
          datagrams['not-wireguard'] +
          datagrams['registration-replayed'] +
          prefiltered.junk;
        return refused === 80;
      });
      expect(lab.stranger.received(name)).toEqual([]);
    });

    test('follows a side that registers from elsewhere, at once', async () => {
      await start();
      const pair = await join([4, 4]);
      await passes(pair, 1);
      const name = `moved${pair.session.id}`;
      const home = await lab.alpha.bind(name, lab.alpha.host.ipv4);
      const to = pair.ports[0];
      await lab.register(pair.session, 0, { peer: lab.alpha, name, from: home, to });
      await passes({ ...pair, names: [name, pair.names[1]] }, 3);
      lab.alpha.send(pair.names[0], to, dataMessage(77));
      await passes({ ...pair, names: [name, pair.names[1]] }, 5);
      expect(lab.beta.received(pair.names[1])).not.toContain(
        Buffer.from(dataMessage(77)).toString('hex'),
      );
    });

    test('carries nothing of a session from its closing on', async () => {
      await start();
      const pair = await join([4, 4]);
      await passes(pair, 1);
      lane.close(pair.session);
      const { sessions: open } = await lane.statistics();
      expect(open).toBe(0);
      lab.alpha.send(pair.names[0], pair.ports[0], dataMessage(77), 10);
      const other = await join([4, 4]);
      await passes(other, 3);
      expect(lab.beta.received(pair.names[1])).not.toContain(
        Buffer.from(dataMessage(77)).toString('hex'),
      );
    });

    test('opens a session again in its place', async () => {
      await start();
      const session = labSession((sessions += 1n));
      const place = await lane.open(session);
      expect(await lane.open(session)).toEqual(place);
      expect((await lane.statistics()).sessions).toBe(1);
    });

    test('ends a session when its time is over, when nobody is heard, and when its quota is used up', async () => {
      await start({ idleMs: 4_000 });
      const expiring = labSession((sessions += 1n), { lifetimeMs: 50 });
      await lane.open(expiring);
      const ended = (session: LabSession, reason: string) =>
        lane.talker.hear('ended', (one) => one.id === session.hosted.id && one.reason === reason);
      await ended(expiring, 'expired');
      const pair = await join([4, 4], { quotaBytes: 10_000 });
      lab.alpha.send(pair.names[0], pair.ports[0], dataMessage(1, 1_000), 12);
      await ended(pair.session, 'quota');
      const idle = labSession((sessions += 1n));
      await lane.open(idle);
      await ended(idle, 'idle');
      expect((await lane.statistics()).sessions).toBe(0);
    });

    test('holds a session to its rate', async () => {
      await start();
      const pair = await join([4, 4], { rateBytesPerSecond: 300_000 });
      lab.alpha.send(pair.names[0], pair.ports[0], dataMessage(1, 1_000), 3_000);
      await eventually(() => lab.beta.received(pair.names[1]).length >= 50);
      const startedAtMs = performance.now();
      const quiet = await join([4, 4]);
      await passes(quiet, 1);
      // The lane looks at each flow once a second: one that is held to its rate is not one that fails.
      await eventually(() => performance.now() - startedAtMs > 1_200);
      const { carriedBy, carriedBytes } = await lane.statistics();
      expect(carriedBytes.kernel + carriedBytes.sockets).toBeLessThan(1_500_000);
      expect(carriedBy[technology === 'nft' ? 'kernel' : 'offload']).toBe(2);
    });

    test('has no place for more than its ports allow, nor for a tenant with its share', async () => {
      await start({ ports: { first: 20_000, last: 20_007 }, tenantShare: 0.5 });
      const open = (tenant: string) => lane.open(labSession((sessions += 1n), { tenant }));
      expect([await open('one'), await open('one')]).not.toContain(undefined);
      expect(await open('one')).toBeUndefined();
      expect([await open('two'), await open('three')]).not.toContain(undefined);
      expect(await open('four')).toBeUndefined();
    });

    test('passes over ports that others have taken', async () => {
      await start({ ports: { first: 20_000, last: 20_007 } });
      const taken = new LabPortTaker(lab);
      await taken.take(20_000);
      const place = await lane.open(labSession((sessions += 1n)));
      expect(placeOf(place?.[0], 4).port).toBeGreaterThan(20_001);
      await taken.release();
    });

    test('takes nobody new while it drains, and carries who is there', async () => {
      await start();
      const pair = await join([4, 4]);
      lane.talker.tell({ do: 'drain' });
      expect(await lane.open(labSession((sessions += 1n)))).toBeUndefined();
      await passes(pair, 1);
    });

    test('leaves nothing behind when it stops', async () => {
      const before = await machineState(lab);
      await start();
      await passes(await join([4, 4]), 1);
      await lane.stop();
      expect(await machineState(lab)).toEqual(before);
    });
  });
}

/** A program on the relay's host that has a port. */
class LabPortTaker {
  readonly #lab: LaneLab;
  #stop: (() => Promise<unknown>) | undefined;

  constructor(lab: LaneLab) {
    this.#lab = lab;
  }

  async take(port: number): Promise<void> {
    const script = `require('dgram').createSocket('udp4').bind(${port}, () => console.log('taken'))`;
    const process_ = await this.#lab.relay.spawn(process.execPath, ['-e', script]);
    await process_.waitForLine(/taken/, { deadlineMs: 10_000 });
    this.#stop = () => process_.stop();
  }

  async release(): Promise<void> {
    await this.#stop?.();
  }
}

/** Rules, forwarding and open ports of the relay's host. */
export async function machineState({ relay }: LaneLab): Promise<readonly string[]> {
  const settings = ['ipv4/conf/eth0/forwarding', 'ipv6/conf/eth0/force_forwarding'];
  return Promise.all([
    relay.run('nft', ['list', 'ruleset']),
    ...settings.map((path) => relay.run('cat', [`/proc/sys/net/${path}`])),
    relay.run('ss', ['-Hlun']),
  ]);
}

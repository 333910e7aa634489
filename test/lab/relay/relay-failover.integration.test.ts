import { eventually } from '@nexodus/clock/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { type Fleet, type FleetDevice, startFleet } from './relay-fleet.ts';

let fleet: Fleet;

afterEach(() => fleet?.[Symbol.asyncDispose]());

/** Time between two packets of each device. */
const EVERY_MS = 20;

/** Keeps both devices sending; resolves with what each heard when `work` is over. */
async function whileTalking(work: () => Promise<void>): Promise<{ readonly sent: number }> {
  let sent = 0;
  const timer = setInterval(() => {
    sent += 1;
    for (const device of fleet.devices) device.send(sent);
  }, EVERY_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return { sent };
}

/** Longest time without a packet. */
function longestGapMs({ arrived }: FleetDevice): number {
  const gaps = arrived.slice(1).map(({ atMs }, index) => atMs - (arrived[index]?.atMs ?? atMs));
  return Math.max(...gaps);
}

function lostOf({ arrived }: FleetDevice, first: number, last: number): number {
  const numbers = new Set(arrived.map(({ number }) => number));
  return Array.from({ length: last - first + 1 }, (_, index) => first + index).filter(
    (number) => !numbers.has(number),
  ).length;
}

const homes = (): string[] => fleet.devices.map(({ paths }) => paths.whereabouts.homeRelayId);
const carriers = (): string[] => fleet.devices.map(({ relayId }) => relayId);
const talkMs = async (count: number): Promise<void> => {
  const [a, b] = fleet.devices;
  const [fromA, fromB] = [a.arrived.length, b.arrived.length];
  await eventually(() => {
    expect(a.arrived.length).toBeGreaterThan(fromA + count);
    expect(b.arrived.length).toBeGreaterThan(fromB + count);
  });
};

async function start(demand: 'udp' | 'tls'): Promise<void> {
  fleet = await startFleet(2, demand);
  await eventually(() => {
    expect(homes()).not.toContain('');
    expect(carriers()).not.toContain('');
    expect(new Set(carriers()).size).toBe(1);
  });
}

const relayAt = (relayId: string | undefined) => {
  const found = fleet.relays.find((relay) => relay.relayId === relayId);
  if (found === undefined) throw new Error(`there is no relay ${relayId}`);
  return found;
};

describe.for(['udp', 'tls'] as const)('in the %s lane, a relay that', (demand) => {
  test.for(['cut', 'silence'] as const)('dies (%s) is left within 2 s', async (death) => {
    await start(demand);
    const [before] = carriers();
    let leftAfterMs = Infinity;
    await whileTalking(async () => {
      await talkMs(20);
      const diedAtMs = performance.now();
      relayAt(before)[death]();
      await eventually(() => {
        expect(carriers()).not.toContain(before);
        expect(homes()).not.toContain(before);
      });
      leftAfterMs = Math.round(performance.now() - diedAtMs);
      await talkMs(50);
    });
    const gaps = fleet.devices.map((device) => Math.round(longestGapMs(device)));
    expect(Math.max(leftAfterMs, ...gaps)).toBeLessThan(2_000);
  });

  test('drains is left before it stops, and no packet is lost', async () => {
    await start(demand);
    const [before] = carriers();
    let first = 0;
    const { sent } = await whileTalking(async () => {
      await talkMs(20);
      first = Math.max(...fleet.devices.map(({ arrived }) => arrived.at(-1)?.number ?? 0)) + 2;
      await relayAt(before).drain();
      await talkMs(20);
    });
    const last = sent - 10;
    const lost = fleet.devices.map((device) => lostOf(device, first, last));
    expect(lost).toEqual([0, 0]);
    expect(carriers()).not.toContain(before);
  });

  test('was dead and is back is attached to again', async () => {
    await start(demand);
    const [before] = carriers();
    const relay = relayAt(before);
    relay.cut();
    await eventually(() => expect(carriers()).not.toContain(before));
    relay.restore();
    await eventually(() => expect(relay.attached).toBeGreaterThanOrEqual(2), { timeoutMs: 40_000 });
  });
});

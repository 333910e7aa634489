import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  FIRST_REFLEXIVE_CYCLE,
  type ReflexiveCycle,
  type ReflexiveEvent,
  stepReflexive,
} from './reflexive-cycle.ts';

const server = (address: string, port = 3_478) => ({ address, port });
const servers = [
  server('192.0.2.1'),
  server('192.0.2.1', 3_480),
  server('192.0.2.2'),
  server('192.0.2.3'),
  server('2001:db8::1'),
];
const seen = (port: number) =>
  ['192.0.2.1', '192.0.2.2', '2001:db8::1'].map((address) => ({
    server: server(address),
    mapped: server('203.0.113.1', port),
  }));

/** Plays events at times and tells what came of each. */
function play(...events: readonly (readonly [number, ReflexiveEvent])[]) {
  let cycle: ReflexiveCycle = FIRST_REFLEXIVE_CYCLE;
  return events.map(([nowMs, event]) => {
    const step = stepReflexive(cycle, event, { nowMs, random: 0.5, servers });
    ({ cycle } = step);
    const asked = step.ask.map(({ address, port }) => `${address} ${port}`);
    return { asked, isChanged: step.isChanged, nextAtMs: cycle.nextAtMs, mapped: cycle.mapped };
  });
}

const wake = { kind: 'wake' } as const;
const changed = { kind: 'changed' } as const;
const activity = (isActive: boolean) => ({ kind: 'activity', isActive }) as const;
const ended = (mapped = seen(7)) => ({ kind: 'ended', mapped }) as const;

describe('the tunnel port asks', () => {
  test('two servers of each family at different addresses', () => {
    const [step] = play([0, changed]);
    expect(step?.asked).toEqual(['192.0.2.1 3480', '192.0.2.2 3478', '2001:db8::1 3478']);
  });

  test('every 20 to 26 s while it is used, and not at all while it is not', () => {
    const steps = play(
      [0, activity(true)],
      [50, ended()],
      [23_049, wake],
      [23_050, wake],
      [23_100, ended()],
      [30_000, activity(false)],
      [99_000, wake],
    );
    expect(steps.map(({ asked }) => asked.length)).toEqual([3, 0, 0, 3, 0, 0, 0]);
    expect(steps.at(1)?.nextAtMs).toBe(23_050);
    expect(steps.at(-1)?.nextAtMs).toBe(Infinity);
  });

  test('at once when the network changed, used or not, and again when it changed meanwhile', () => {
    const steps = play([0, changed], [10, changed], [20, ended()], [30, ended(seen(9))]);
    expect(steps.map(({ asked }) => asked.length)).toEqual([3, 0, 3, 0]);
    expect(steps.map(({ isChanged }) => isChanged)).toEqual([false, false, false, true]);
    expect(steps.at(-1)?.mapped).toEqual(seen(9));
  });

  test('at once when it is used again, unless it has just asked', () => {
    const steps = play(
      [0, changed],
      [50, ended()],
      [1_000, activity(true)],
      [2_000, activity(false)],
      [40_000, activity(true)],
    );
    expect(steps.map(({ asked }) => asked.length)).toEqual([3, 0, 0, 0, 3]);
    expect(steps[2]?.nextAtMs).toBe(24_000);
  });

  test('other servers the next time when one was silent', () => {
    const steps = play([0, changed], [50, ended(seen(7).slice(1))], [60, changed]);
    expect(steps.at(-1)?.asked).toEqual(['192.0.2.2 3478', '192.0.2.3 3478', '2001:db8::1 3478']);
  });
});

test('the same addresses, seen by other servers, are no change', () => {
  const others = seen(7).map(({ mapped }) => ({ server: server('192.0.2.9'), mapped }));
  const steps = play([0, changed], [9, ended()], [10, changed], [19, ended(others)]);
  expect(steps.map(({ isChanged }) => isChanged)).toEqual([false, true, false, false]);
});

test('no order of events makes it ask twice at a time, or periodically while it is not used', () => {
  const event = fc.oneof(
    fc.constantFrom<ReflexiveEvent>(wake, changed, activity(true), activity(false), ended()),
    fc.constant<ReflexiveEvent>(ended([])),
  );
  const law = fc.property(fc.array(fc.tuple(fc.nat({ max: 30_000 }), event)), (events) => {
    let cycle: ReflexiveCycle = FIRST_REFLEXIVE_CYCLE;
    let nowMs = 0;
    for (const [laterMs, next] of events) {
      nowMs += laterMs;
      if (next.kind === 'ended' && !cycle.isAsking) continue;
      const step = stepReflexive(cycle, next, { nowMs, random: 0, servers });
      const isDoubled = cycle.isAsking && step.ask.length > 0 && next.kind !== 'ended';
      expect(isDoubled).toBe(false);
      expect(!step.cycle.isActive && step.cycle.nextAtMs !== Infinity).toBe(false);
      expect(step.cycle.isAsking && step.cycle.nextAtMs !== Infinity).toBe(false);
      ({ cycle } = step);
    }
  });
  fc.assert(law);
});

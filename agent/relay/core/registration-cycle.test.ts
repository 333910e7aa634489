import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  beginRegistration,
  type RegistrationCycle,
  type RegistrationEvent,
  stepRegistration,
} from './registration-cycle.ts';

/** Plays events; gives the instants at which a registration is sent, with what it echoes. */
function play(steps: readonly (readonly [number, RegistrationEvent<string>])[]) {
  let cycle: RegistrationCycle<string> = beginRegistration(0);
  const sent: string[] = [];
  for (const [nowMs, event] of steps) {
    const step = stepRegistration(cycle, event, { nowMs, random: 0 });
    cycle = step.cycle;
    if (step.isSent) sent.push(`${nowMs} ${cycle.observed ?? '-'}`);
  }
  return { cycle, sent };
}

const wake = { kind: 'wake' } as const;
const answered = (observed: string, isLocked: boolean) =>
  ({ kind: 'answered', observed, isLocked }) as const;

test('a registration is asked for, echoed, held and renewed', () => {
  const { cycle, sent } = play([
    [0, wake],
    [20, answered('a', false)],
    [40, answered('a', true)],
    [14_000, wake],
    [15_040, wake],
    [15_060, answered('a', true)],
  ]);
  expect(sent).toEqual(['0 -', '20 a', '15040 a']);
  expect(cycle).toMatchObject({ phase: 'registered', nextAtMs: 30_060 });
});

test('a relay that does not answer is given up after 2.5 s, and nothing more is sent', () => {
  const { cycle, sent } = play([
    [0, wake],
    [250, wake],
    [750, wake],
    [1_500, wake],
    [2_499, wake],
    [2_500, wake],
    [9_000, wake],
    [9_001, { kind: 'again' }],
    [9_002, answered('a', true)],
  ]);
  expect(sent).toEqual(['0 -', '250 -', '750 -', '1500 -']);
  expect(cycle.phase).toBe('silent');
});

test('one that is held and then not answered is asked faster, and counts until it is given up', () => {
  const { cycle, sent } = play([
    [0, wake],
    [10, answered('a', false)],
    [20, answered('a', true)],
    [15_020, wake],
    [15_270, wake],
  ]);
  expect(sent.slice(2)).toEqual(['15020 a', '15270 a']);
  expect(cycle.phase).toBe('registered');
});

test('another address is echoed at once, also when the relay asks', () => {
  const { sent } = play([
    [0, wake],
    [10, answered('a', false)],
    [20, answered('a', true)],
    [500, { kind: 'again' }],
    [510, answered('b', false)],
    [520, answered('b', true)],
  ]);
  expect(sent).toEqual(['0 -', '10 a', '500 a', '510 b']);
});

test('an address that is another each time is given up', () => {
  const answers = Array.from({ length: 6 }, (_, index) => [index, answered(`${index}`, false)]);
  expect(play([[0, wake], ...(answers as [number, RegistrationEvent<string>][])]).cycle.phase).toBe(
    'silent',
  );
});

test('whatever happens, at most four registrations go out between two answers', () => {
  const event: fc.Arbitrary<RegistrationEvent<string>> = fc.oneof(
    fc.constant(wake),
    fc.record({
      kind: fc.constant('answered' as const),
      observed: fc.constantFrom('a', 'b'),
      isLocked: fc.boolean(),
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20_000), event), { maxLength: 60 }), (steps) => {
      let cycle: RegistrationCycle<string> = beginRegistration(0);
      let [nowMs, silentSends] = [0, 0];
      for (const [passedMs, told] of steps) {
        nowMs += passedMs;
        const step = stepRegistration(cycle, told, { nowMs, random: 0.5 });
        if (told.kind === 'answered') silentSends = 0;
        if (step.isSent) silentSends += 1;
        expect(silentSends).toBeLessThanOrEqual(4);
        ({ cycle } = step);
      }
    }),
  );
});

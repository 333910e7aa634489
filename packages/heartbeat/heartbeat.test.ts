import { ManualClock } from '@nexodus/clock';
import { expect, test } from 'vitest';
import { createHeartbeat } from './heartbeat.ts';

function beating(draws: readonly number[]) {
  const clock = new ManualClock();
  const beatsAt: number[] = [];
  const left = [...draws];
  const part = createHeartbeat({
    name: 'heartbeat',
    clock,
    random: () => left.shift() ?? 0.5,
    intervalMs: 1_000,
    beat: () => beatsAt.push(clock.now()),
  });
  return { clock, part, beatsAt };
}

test('it beats at the start and then after intervals that differ by up to a tenth', async () => {
  const { clock, part, beatsAt } = beating([0, 0.5, 1]);
  await part.start();
  clock.advance(3_500);
  expect(beatsAt).toEqual([0, 900, 1_900, 3_000]);
});

test('it is still after its stop', async () => {
  const { clock, part, beatsAt } = beating([]);
  await part.start();
  await part.stop();
  clock.advance(10_000);
  expect(beatsAt).toEqual([0]);
  expect(clock.pendingTimers).toBe(0);
});

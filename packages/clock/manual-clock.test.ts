import { expect, test } from 'vitest';
import { ManualClock } from './manual-clock.ts';

test('timers fire in order of time, then of setting, as time moves', () => {
  const clock = new ManualClock(1_000);
  const fired: string[] = [];
  clock.setTimer(20, () => fired.push('b'));
  clock.setTimer(10, () => fired.push('a'));
  clock.setTimer(20, () => fired.push('c'));
  clock.advance(15);
  expect(fired).toEqual(['a']);
  clock.advance(5);
  expect(fired).toEqual(['a', 'b', 'c']);
  expect(clock.now()).toBe(1_020);
});

test('a cancelled timer never fires', () => {
  const clock = new ManualClock();
  const timer = clock.setTimer(1, () => expect.unreachable());
  timer.cancel();
  clock.advance(10);
  expect(clock.pendingTimers).toBe(0);
});

test('a timer that a timer sets fires within the same move', () => {
  const clock = new ManualClock();
  const at: number[] = [];
  clock.setTimer(1, () => clock.setTimer(1, () => at.push(clock.now())));
  clock.advance(5);
  expect(at).toEqual([2]);
});

test('waiting ends early when the signal is aborted, and leaves no timer behind', async () => {
  const clock = new ManualClock();
  const abort = new AbortController();
  const waiting = clock.wait(1_000, abort.signal);
  abort.abort();
  await waiting;
  expect(clock.pendingTimers).toBe(0);
});

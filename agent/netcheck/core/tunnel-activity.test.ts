import { expect, test } from 'vitest';
import { isTunnelActive, NO_ACTIVITY, noteTraffic } from './tunnel-activity.ts';

test('a tunnel is active until 20 s after its counters moved last', () => {
  let activity = noteTraffic(NO_ACTIVITY, 0, 0);
  expect(isTunnelActive(activity, 0)).toBe(false);
  activity = noteTraffic(activity, 148, 1_000);
  activity = noteTraffic(activity, 148, 5_000);
  expect(isTunnelActive(activity, 20_999)).toBe(true);
  expect(isTunnelActive(activity, 21_000)).toBe(false);
});

test('counters that begin anew with the tunnel are movement too', () => {
  const activity = noteTraffic({ bytes: 900, movedAtMs: 0 }, 0, 90_000);
  expect(isTunnelActive(activity, 90_001)).toBe(true);
});

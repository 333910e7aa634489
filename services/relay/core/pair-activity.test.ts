import { expect, test } from 'vitest';
import { PairActivity } from './pair-activity.ts';

const [a, b, c] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
];

test('a pair is active for a minute after its last traffic, in whichever direction', () => {
  const activity = new PairActivity();
  activity.note([[a, b]], 0);
  expect(activity.isActive(b, a, 59_999)).toBe(true);
  expect(activity.isActive(a, c, 0)).toBe(false);
  expect(activity.isActive(a, b, 60_000)).toBe(false);
  activity.note([], 60_000);
  expect(activity.isActive(a, b, 0)).toBe(false);
});

import { expect, test } from 'vitest';
import { LaneUse } from './lane-use.ts';

const unlimited = { quotaBytes: Infinity, rateBytesPerSecond: Infinity };

test('carries all without limits', () => {
  const use = new LaneUse(unlimited, 0);
  expect(use.take(0, 1_000_000_000, 0)).toBe('carried');
  expect(use.take(1, 1_000_000_000, 0)).toBe('carried');
});

test('carries both directions together up to the quota, and what overshoots it once', () => {
  const use = new LaneUse({ ...unlimited, quotaBytes: 1_000 }, 0);
  expect(use.take(0, 999, 0)).toBe('carried');
  expect(use.take(1, 999, 0)).toBe('carried');
  expect(use.take(0, 1, 0)).toBe('spent');
});

test('carries each direction at its own rate, a second of it at once', () => {
  const use = new LaneUse({ ...unlimited, rateBytesPerSecond: 1_000_000 }, 0);
  expect(use.take(0, 1_000_000, 0)).toBe('carried');
  expect(use.take(0, 1, 0)).toBe('limit');
  expect(use.take(1, 1_000_000, 0)).toBe('carried');
  expect(use.take(0, 500_000, 500)).toBe('carried');
  expect(use.take(0, 1_000, 500)).toBe('limit');
});

test('is used while bytes come, whether they may pass or not', () => {
  const use = new LaneUse({ ...unlimited, rateBytesPerSecond: 1 }, 0);
  expect(use.isUsedWithin(60_000, 59_999)).toBe(true);
  expect(use.isUsedWithin(60_000, 60_000)).toBe(false);
  use.take(0, 1_000_000_000, 100_000);
  expect(use.isUsedWithin(60_000, 159_999)).toBe(true);
});

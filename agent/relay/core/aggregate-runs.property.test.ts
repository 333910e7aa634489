import fc from 'fast-check';
import { expect, test } from 'vitest';
import { aggregateRuns } from './aggregate-runs.ts';

const runsOf = (...lengths: number[]) =>
  [...aggregateRuns(Uint32Array.from(lengths))].map(({ length, segmentBytes }) => [
    length,
    segmentBytes,
  ]);

test('equal datagrams and a shorter one behind them leave together', () => {
  expect(runsOf(1_312, 1_312, 100, 1_312)).toEqual([
    [2_724, 1_312],
    [1_312, 0],
  ]);
  expect(runsOf(32, 1_312, 1_312)).toEqual([
    [32, 0],
    [2_624, 1_312],
  ]);
  expect(runsOf()).toEqual([]);
});

test('a run can be taken apart again into the very same datagrams, and is what the kernel takes', () => {
  const lengths = fc.array(fc.oneof(fc.constantFrom(0, 32, 1_312, 1_452), fc.nat(65_507)), {
    maxLength: 300,
  });
  fc.assert(
    fc.property(lengths, (given) => {
      const again: number[] = [];
      for (const { length, segmentBytes } of aggregateRuns(Uint32Array.from(given))) {
        const step = segmentBytes === 0 ? length : segmentBytes;
        const count = segmentBytes === 0 ? 1 : Math.ceil(length / step);
        expect(count).toBeLessThanOrEqual(64);
        expect(length).toBeLessThanOrEqual(65_507);
        for (let at = 0; at < count; at += 1) again.push(Math.min(step, length - at * step));
      }
      expect(again).toEqual(given);
    }),
  );
});

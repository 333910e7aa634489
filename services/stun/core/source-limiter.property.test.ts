import { ipAddressFromValue } from '@nexodus/netip';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SourceLimiter } from './source-limiter.ts';

const limit = fc.record({
  ratePerSecond: fc.integer({ min: 1, max: 1_000 }),
  burst: fc.integer({ min: 1, max: 50 }),
  tableSize: fc.integer({ min: 1, max: 4 }),
});
const arrivals = fc.array(
  fc.record({ source: fc.integer({ min: 0, max: 6 }), afterMs: fc.integer({ min: 0, max: 30 }) }),
  { maxLength: 300 },
);

/** Admissions in any window are at most the burst and what the rate gives back in it. */
function exceeds(admittedAt: readonly number[], rate: number, burst: number): boolean {
  return admittedAt.some((from, first) =>
    admittedAt
      .slice(first)
      .some((to, count) => count + 1 > burst + ((to - from) * rate) / 1_000 + 1e-6),
  );
}

test('whatever arrives, the table keeps its size and no source gets more than its due', () => {
  fc.assert(
    fc.property(limit, arrivals, (settings, packets) => {
      const limiter = new SourceLimiter(settings);
      const admittedAt = new Map<number, number[]>();
      let now = 0;
      for (const { source, afterMs } of packets) {
        now += afterMs;
        if (limiter.admit(ipAddressFromValue(4, BigInt(source)), now)) {
          admittedAt.set(source, [...(admittedAt.get(source) ?? []), now]);
        }
        expect(limiter.size).toBeLessThanOrEqual(settings.tableSize);
      }
      // A source may have had the newcomers' bucket and one of its own.
      for (const times of admittedAt.values()) {
        expect(exceeds(times, 2 * settings.ratePerSecond, 2 * settings.burst)).toBe(false);
      }
    }),
  );
});

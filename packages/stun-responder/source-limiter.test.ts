import { parseIpAddress } from '@nexodus/netip';
import { encodeSocketAddress, SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLimiter } from './received.fixture.ts';
import { type SourceLimit, SourceLimiter, sourceLimiterBytes } from './source-limiter.ts';

function admit(limiter: SourceLimiter, text: string, nowMs: number): boolean {
  const bytes = new Uint8Array(SOCKET_ADDRESS_BYTES);
  encodeSocketAddress(bytes, 0, { address: parseIpAddress(text), port: 40_000 });
  return limiter.admit(new DataView(bytes.buffer), 0, nowMs);
}

describe('the ration of a source', () => {
  const limit: SourceLimit = { ratePerSecond: 10, burst: 3, tableSize: 64 };

  test('is a burst, then the rate, and a burst again after a pause', () => {
    const limiter = createLimiter(limit);
    const at = (nowMs: number) => admit(limiter, '192.0.2.1', nowMs);
    expect([1, 1, 1, 1, 100, 101, 102].map(at)).toEqual([
      true,
      true,
      true,
      false,
      false,
      true,
      false,
    ]);
    expect([10_000, 10_000, 10_000, 10_000].map(at)).toEqual([true, true, true, false]);
  });

  test('is shared by an IPv6 /64, and by nobody else', () => {
    const limiter = createLimiter({ ...limit, burst: 1 });
    expect(admit(limiter, '2001:db8:0:1::1', 1)).toBe(true);
    expect(admit(limiter, '2001:db8:0:1:ffff::2', 1)).toBe(false);
    expect(admit(limiter, '2001:db8:0:2::1', 1)).toBe(true);
    expect(admit(limiter, '192.0.2.1', 1)).toBe(true);
    expect(admit(limiter, '192.0.2.2', 1)).toBe(true);
    expect(admit(limiter, '192.0.2.1', 1)).toBe(false);
  });

  test('of an IPv4 address is not that of the IPv6 prefix with the same bits', () => {
    const limiter = createLimiter({ ...limit, burst: 1 });
    expect(admit(limiter, '192.0.2.1', 1)).toBe(true);
    expect(admit(limiter, '0:0:c000:201::1', 1)).toBe(true);
  });

  test('is one for all threads that share the storage', () => {
    const storage = new SharedArrayBuffer(sourceLimiterBytes(limit));
    const [one, other] = [
      new SourceLimiter(limit, storage, 9),
      new SourceLimiter(limit, storage, 9),
    ];
    expect([one, other, one, other].map((limiter) => admit(limiter, '192.0.2.1', 1))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});

describe('a table that is full', () => {
  const limit: SourceLimit = { ratePerSecond: 1, burst: 2, tableSize: 8 };
  const sources = Array.from({ length: 8 }, (_none, index) => `192.0.2.${index}`);

  test('makes newcomers share one bucket and takes nothing from those in it', () => {
    const limiter = createLimiter(limit);
    for (const source of sources) expect(admit(limiter, source, 1)).toBe(true);
    expect(
      ['198.51.100.1', '198.51.100.2', '198.51.100.3'].map((one) => admit(limiter, one, 1)),
    ).toEqual([true, true, false]);
    for (const source of sources) {
      expect(admit(limiter, source, 1)).toBe(true);
      expect(admit(limiter, source, 1)).toBe(false);
    }
  });

  test('has room again when a bucket is full again', () => {
    const limiter = createLimiter(limit);
    for (const source of sources) admit(limiter, source, 1);
    expect([1, 1_001, 1_001].map((nowMs) => admit(limiter, '198.51.100.1', nowMs))).toEqual([
      true,
      true,
      true,
    ]);
  });
});

test('whatever arrives, no source gets more than its due', () => {
  const arrivals = fc.array(fc.record({ source: fc.nat(20), afterMs: fc.nat(30) }), {
    maxLength: 300,
  });
  const limits = fc.record({
    ratePerSecond: fc.integer({ min: 1, max: 1_000 }),
    burst: fc.integer({ min: 1, max: 50 }),
    tableSize: fc.integer({ min: 1, max: 20 }),
  });
  fc.assert(
    fc.property(limits, arrivals, fc.integer(), (limit, packets, seed) => {
      const limiter = createLimiter(limit, seed);
      const admittedAt = new Map<number, number[]>();
      let now = 1;
      for (const { source, afterMs } of packets) {
        now += afterMs;
        if (!admit(limiter, `192.0.2.${source}`, now)) continue;
        admittedAt.set(source, [...(admittedAt.get(source) ?? []), now]);
      }
      // A source may have had the newcomers' bucket and one of its own.
      for (const times of admittedAt.values()) {
        expect(exceeds(times, 2 * limit.ratePerSecond, 2 * limit.burst)).toBe(false);
      }
    }),
  );
});

/** Admissions in any window are at most the burst and what the rate gives back in it. */
function exceeds(admittedAt: readonly number[], rate: number, burst: number): boolean {
  return admittedAt.some((from, first) =>
    admittedAt
      .slice(first)
      .some((to, count) => count + 1 > burst + ((to - from) * rate) / 1_000 + 1e-6),
  );
}

import { expect, test } from 'vitest';
import {
  advanceLease,
  leaseRecord,
  leaseRemainingMs,
  renewLease,
  restoreLease,
  type Lease,
} from './lease.ts';

const hour = 3_600_000;
const start = { wallMs: 1_000_000_000, monotonicMs: 5_000 };
const told = { serverTimeMs: 1_000_000_000, durationMs: 24 * hour };

function granted(): Lease {
  const lease = renewLease(undefined, told, start);
  expect(lease).toBeDefined();
  return lease!;
}

test('a lease runs out after its time, by the monotonic clock even where the wall clock is set back', () => {
  const later = { wallMs: start.wallMs - 100 * hour, monotonicMs: start.monotonicMs + 23 * hour };
  expect(leaseRemainingMs(granted(), later)).toBe(hour);
  const end = { ...later, monotonicMs: start.monotonicMs + 24 * hour };
  expect(leaseRemainingMs(granted(), end)).toBe(0);
});

test('sleep counts, which only the wall clock sees', () => {
  const awake = { wallMs: start.wallMs + 25 * hour, monotonicMs: start.monotonicMs + 10 };
  expect(leaseRemainingMs(granted(), awake)).toBe(0);
});

test('a wall clock that is set back after a sleep gives back none of the sleep', () => {
  const awake = { wallMs: start.wallMs + 20 * hour, monotonicMs: start.monotonicMs + 10 };
  const counted = advanceLease(granted(), awake);
  const setBack = { wallMs: start.wallMs, monotonicMs: start.monotonicMs + 20 };
  expect(leaseRemainingMs(counted, setBack)).toBe(4 * hour - 10);
  expect(leaseRemainingMs(granted(), setBack)).toBe(24 * hour - 20);
});

test('an older server time renews nothing, a newer one everything', () => {
  const later = { wallMs: start.wallMs + hour, monotonicMs: start.monotonicMs + hour };
  const older = renewLease(granted(), { serverTimeMs: told.serverTimeMs }, later);
  expect(leaseRemainingMs(older!, later)).toBe(23 * hour);
  const newer = renewLease(granted(), { serverTimeMs: told.serverTimeMs + hour }, later);
  expect(leaseRemainingMs(newer!, later)).toBe(24 * hour);
});

test('time while nexd was down counts from the highest server time', () => {
  const record = leaseRecord(granted(), start);
  const restarted = { wallMs: start.wallMs + 20 * hour, monotonicMs: 1 };
  expect(leaseRemainingMs(restoreLease(record, restarted), restarted)).toBe(4 * hour);
});

test('a clock that was set back over a restart gives back no time that had passed before', () => {
  const late = { wallMs: start.wallMs + 20 * hour, monotonicMs: start.monotonicMs + 20 * hour };
  const record = leaseRecord(granted(), late);
  const restarted = { wallMs: start.wallMs - hour, monotonicMs: 1 };
  expect(leaseRemainingMs(restoreLease(record, restarted), restarted)).toBe(4 * hour);
});

test('without any duration told there is no lease', () => {
  expect(renewLease(undefined, { serverTimeMs: 1 }, start)).toBeUndefined();
});

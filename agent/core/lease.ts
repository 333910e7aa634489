/**
 * How long a device may use its last view without the service.
 *
 * The lease counts from the highest server time ever seen, so that neither a machine whose clock is set back nor an
 * older answer played again makes it longer. Time passes as the faster of two clocks tells: the monotonic one, which
 * nobody can set, and the wall clock, which runs on while the machine sleeps or nexd is down.
 */

/** Both clocks of the machine at one instant. */
export interface ClockReading {
  /** Milliseconds since 1970, as the machine believes. */
  readonly wallMs: number;
  /** Milliseconds on a clock that never goes back. */
  readonly monotonicMs: number;
}

/** A lease as it is kept on disk. */
export interface LeaseRecord {
  /** Milliseconds since 1970, by the service's clock. */
  readonly highestServerTimeMs: number;
  readonly durationMs: number;
  /** Part of the lease that had passed when the record was made. */
  readonly elapsedMs: number;
}

/** A lease that runs. */
export interface Lease extends LeaseRecord {
  /** When `elapsedMs` was true. */
  readonly countedAt: ClockReading;
}

/** Takes up a lease from disk: time since the highest server time counts, whoever was running. */
export function restoreLease(record: LeaseRecord, now: ClockReading): Lease {
  const since = now.wallMs - record.highestServerTimeMs;
  return { ...record, elapsedMs: Math.max(record.elapsedMs, since, 0), countedAt: now };
}

/** The lease after the service told its time; `durationMs` only where it told that too. */
export function renewLease(
  lease: Lease | undefined,
  told: { readonly serverTimeMs: number; readonly durationMs?: number },
  now: ClockReading,
): Lease | undefined {
  const durationMs = told.durationMs ?? lease?.durationMs;
  if (durationMs === undefined) return lease;
  if (lease !== undefined && told.serverTimeMs <= lease.highestServerTimeMs) {
    return { ...lease, durationMs };
  }
  return { highestServerTimeMs: told.serverTimeMs, durationMs, elapsedMs: 0, countedAt: now };
}

/** The lease with the time that passed until now counted for good: a clock set back later gives none of it back. */
export function advanceLease(lease: Lease, now: ClockReading): Lease {
  return { ...lease, elapsedMs: elapsed(lease, now), countedAt: now };
}

/** Milliseconds that are left; 0 when the lease has ended. */
export function leaseRemainingMs(lease: Lease, now: ClockReading): number {
  return Math.max(0, lease.durationMs - elapsed(lease, now));
}

/** The record to keep on disk. */
export function leaseRecord(lease: Lease, now: ClockReading): LeaseRecord {
  const { highestServerTimeMs, durationMs } = lease;
  return { highestServerTimeMs, durationMs, elapsedMs: elapsed(lease, now) };
}

function elapsed({ elapsedMs, countedAt }: Lease, now: ClockReading): number {
  const passed = Math.max(
    now.wallMs - countedAt.wallMs,
    now.monotonicMs - countedAt.monotonicMs,
    0,
  );
  return elapsedMs + passed;
}

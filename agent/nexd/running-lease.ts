import type { Clock } from '@nexodus/clock';
import {
  advanceLease,
  type ClockReading,
  type Lease,
  type LeaseRecord,
  leaseRecord,
  leaseRemainingMs,
  renewLease,
  restoreLease,
} from '../core/lease.ts';

/** The lease of a device at work, on the clocks of its machine. */
export interface RunningLease {
  /** Milliseconds since 1970, by the machine's clock, at which it ends; 0 where none was ever given. */
  readonly untilMs: number;
  /** Milliseconds that are left; 0 when it has ended or none was ever given. */
  remainingMs(): number;
  /** The service told its time, and perhaps how long a lease lasts. */
  renew(told: { readonly serverTimeMs: number; readonly durationMs?: number }): void;
  /** Counts the time until now for good. */
  advance(): void;
  /** What to keep on disk. */
  record(): LeaseRecord | undefined;
}

/** Takes up the lease that was kept, if any. */
export function createRunningLease(kept: LeaseRecord | undefined, clock: Clock): RunningLease {
  const reading = (): ClockReading => ({ wallMs: clock.now(), monotonicMs: clock.monotonicMs() });
  let lease: Lease | undefined = kept === undefined ? undefined : restoreLease(kept, reading());
  const remainingMs = (): number => (lease === undefined ? 0 : leaseRemainingMs(lease, reading()));
  return {
    get untilMs() {
      return lease === undefined ? 0 : clock.now() + remainingMs();
    },
    remainingMs,
    renew: (told) => {
      lease = renewLease(lease, told, reading());
    },
    advance: () => {
      if (lease !== undefined) lease = advanceLease(lease, reading());
    },
    record: () => (lease === undefined ? undefined : leaseRecord(lease, reading())),
  };
}

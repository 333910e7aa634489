import type { CandidateLimits } from './candidate-table.ts';
import type { BucketLimit } from './token-bucket.ts';

/** What one side of a session may ask of a relay. */
export interface AdmissionLimits {
  readonly candidates: CandidateLimits;
  /** Initiations of the locked source. */
  readonly lockedInitiations: BucketLimit;
  /** Authentic registrations. */
  readonly registrations: BucketLimit;
  /** A lock whose source was not heard for this long yields to the handshake of another. */
  readonly staleLockMs: number;
  /** Least time between two suspicions that a side has roamed. */
  readonly roamHintMs: number;
}

/**
 * WireGuard sends an initiation at most every 5 s to a peer (REKEY_TIMEOUT), each with a new index, so two of them keep
 * a candidate alive; a device has one source at a time, or a few while its NAT changes its mind. A registration comes
 * every 15 to 20 s, and twice at once when the address changed. WireGuard's keepalives are at most 25 s apart.
 */
export const defaultAdmissionLimits: AdmissionLimits = {
  candidates: {
    tableSize: 16,
    perAddress: 4,
    ttlMs: 11_000,
    perSource: { ratePerSecond: 1, burst: 5 },
    newcomers: { ratePerSecond: 10, burst: 16 },
  },
  lockedInitiations: { ratePerSecond: 2, burst: 10 },
  registrations: { ratePerSecond: 10, burst: 20 },
  staleLockMs: 30_000,
  roamHintMs: 1_000,
};

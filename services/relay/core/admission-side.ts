import type { RelayRegistrationKey, SessionSide } from '@nexodus/relay-registration';
import type { AdmissionLimits } from './admission-limits.ts';
import { CandidateTable } from './candidate-table.ts';
import { RegistrationDesk } from './registration-desk.ts';
import type { Source } from './source.ts';
import { TokenBucket } from './token-bucket.ts';

/** What a session knows of one of its sides. */
export interface AdmissionSide {
  readonly candidates: CandidateTable;
  readonly desk: RegistrationDesk;
  /** Initiations of the locked source. */
  readonly initiations: TokenBucket;
  /** The source that has proven to be the device. */
  locked: Source | undefined;
  /** Sender index of the locked source's last initiation; candidates have their own. */
  lockedIndex: number | undefined;
  heardAtMs: number;
  /** A source that answered an initiation that was sent to it, unproven until data is addressed to that index. */
  answered: { readonly source: Source; readonly index: number } | undefined;
  /** The index by which the device knows the current WireGuard session. */
  receivesAt: number | undefined;
  roamHintAtMs: number;
}

/** A side before anything arrived. */
export function createAdmissionSide(options: {
  readonly sessionId: bigint;
  readonly side: SessionSide;
  readonly device: { readonly registrationKey: RelayRegistrationKey };
  readonly limits: AdmissionLimits;
}): AdmissionSide {
  const { sessionId, side, device, limits } = options;
  return {
    candidates: new CandidateTable(limits.candidates),
    desk: new RegistrationDesk({
      sessionId,
      side,
      key: device.registrationKey,
      limit: limits.registrations,
    }),
    initiations: new TokenBucket(limits.lockedInitiations),
    locked: undefined,
    lockedIndex: undefined,
    heardAtMs: -Infinity,
    answered: undefined,
    receivesAt: undefined,
    roamHintAtMs: -Infinity,
  };
}

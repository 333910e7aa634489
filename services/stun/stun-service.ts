import type { StunServiceImplementation } from '@nexodus/contracts/stun';
import type { ServiceIdentity } from '@nexodus/rpc';
import type { StunCounts } from './stun-metrics.ts';

/** The handlers of nexodus.stun.v1.StunService; stun.proto says what each promises. */
export function createStunService({
  counts,
}: {
  readonly counts: StunCounts;
}): StunServiceImplementation<{ identity: ServiceIdentity }> {
  return {
    getStatistics: () =>
      Promise.resolve({
        answered: BigInt(counts.answered),
        refused: BigInt(counts.refused),
        ignored: BigInt(counts.ignored),
        limited: BigInt(counts.limited),
      }),
  };
}

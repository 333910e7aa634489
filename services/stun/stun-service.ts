import type { StunServiceImplementation } from '@nexodus/contracts/stun';
import type { ServiceIdentity } from '@nexodus/rpc';
import type { StunCounts } from '@nexodus/stun-server';
import { ignoredOf } from './stun-metrics.ts';

/** The handlers of nexodus.stun.v1.StunService; stun.proto says what each promises. */
export function createStunService(
  counts: () => StunCounts | undefined,
): StunServiceImplementation<{ identity: ServiceIdentity }> {
  return {
    getStatistics: async () => {
      const now = counts();
      return {
        answered: BigInt(now?.answered ?? 0),
        refused: BigInt(now?.refused ?? 0),
        ignored: BigInt(now === undefined ? 0 : ignoredOf(now)),
        limited: BigInt(now?.limited ?? 0),
      };
    },
  };
}

import type { RelayServiceImplementation } from '@nexodus/contracts/relay';
import type { ServiceIdentity } from '@nexodus/rpc';
import type { Capacity } from './core/capacity.ts';

/** The handlers of nexodus.relay.v1.RelayService; relay.proto says what each promises. */
export function createRelayService(
  current: () => Capacity,
): RelayServiceImplementation<{ identity: ServiceIdentity }> {
  return {
    getStatistics: () => {
      const { capacity, sessions } = current();
      return Promise.resolve({ capacity: BigInt(capacity), sessions: BigInt(sessions) });
    },
  };
}

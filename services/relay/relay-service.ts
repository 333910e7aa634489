import type { GetStatisticsResponse, RelayServiceImplementation } from '@nexodus/contracts/relay';
import type { ServiceIdentity } from '@nexodus/rpc';

/** The handlers of nexodus.relay.v1.RelayService; relay.proto says what each promises. */
export function createRelayService(
  statistics: () => Promise<GetStatisticsResponse>,
): RelayServiceImplementation<{ identity: ServiceIdentity }> {
  return { getStatistics: statistics };
}

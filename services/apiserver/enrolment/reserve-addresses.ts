import type { Clock } from '@nexodus/clock';
import { isRpcError, type RpcError, Status, unavailable } from '@nexodus/rpc';
import type { IpamClient } from '../ipam/ipam-orders.ts';

/** Addresses that are leased to a device to be. */
export interface LeasedAddresses {
  ipv4Address: string;
  ipv6Address: string;
}

/** Life of the lease, in seconds: the longest that ipam gives, so that a confirmation that waits out an outage finds it. */
const leaseSeconds = 600n;

/** How long a VPC's pool is waited for, and how often it is asked for meanwhile, in milliseconds. */
const poolWaitMs = 5_000;
const poolPollMs = 100;

/**
 * Leases one address of each family. The pool of a new VPC may still be an order in the outbox: it is waited for, never
 * made here, because only the outbox keeps the order of making and deleting a pool.
 *
 * @throws {RpcError} POOL_FULL, or UNAVAILABLE for whatever else goes wrong
 */
export async function reserveAddresses(
  { ipam, clock }: { ipam: IpamClient; clock: Clock },
  poolId: string,
  ownerId: string,
): Promise<LeasedAddresses> {
  const wanted = { poolId, ownerId, lease: { seconds: leaseSeconds, nanos: 0 } };
  for (let waitedMs = 0; ; waitedMs += poolPollMs) {
    try {
      return await ipam.reserveAddresses(wanted);
    } catch (error) {
      if (isRpcError(error, Status.RESOURCE_EXHAUSTED, 'POOL_FULL')) throw error;
      const isPoolMissing = isRpcError(error, Status.NOT_FOUND);
      if (!isPoolMissing || waitedMs >= poolWaitMs) throw addressesUnavailable(error);
    }
    await clock.wait(poolPollMs);
  }
}

/** No addresses can be given right now; why is for the log only. */
export function addressesUnavailable(cause: unknown): RpcError {
  return unavailable('addresses cannot be given right now: try again', {
    retryAfterMs: 2_000,
    cause,
  });
}

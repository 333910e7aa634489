import type { AddressAssignment, IpamServiceImplementation } from '@nexodus/contracts/ipam';
import { isUnavailable } from '@nexodus/database';
import { formatIpAddress, formatIpPrefix } from '@nexodus/netip';
import {
  failedPrecondition,
  notFound,
  RpcError,
  type ServiceIdentity,
  Status,
  unavailable,
} from '@nexodus/rpc';
import type { AddressBook, ReserveOutcome } from './address-book.ts';
import { type AddressPool, usableCount } from './core/address-pool.ts';
import type { Holding } from './core/holding.ts';
import type { PoolId } from './core/ids.ts';
import type { IpamMetrics } from './ipam-metrics.ts';
import {
  invalidField,
  readAddress,
  readOwnerId,
  readPageSize,
  readPool,
  readPoolId,
  readReservation,
} from './ipam-request.ts';
import type { LeaseStore } from './lease-store.ts';

/** What the handlers need. */
export interface IpamServiceOptions {
  readonly store: LeaseStore;
  readonly book: AddressBook;
  readonly clock: { now(): number };
  readonly metrics: IpamMetrics;
}

type Implementation = IpamServiceImplementation<{ identity: ServiceIdentity }>;

/** The handlers of nexodus.ipam.v1.IpamService; ipam.proto says what each promises. */
export function createIpamService(options: IpamServiceOptions): Implementation {
  return { ...createPoolHandlers(options), ...createAddressHandlers(options) };
}

function createPoolHandlers({
  store,
  clock,
}: IpamServiceOptions): Pick<
  Implementation,
  'createPool' | 'deletePool' | 'getPool' | 'listAddresses'
> {
  return {
    createPool: async (request) => {
      const wanted = readPool(request);
      const pool = await reachable(store.createPool(wanted));
      if (!samePrefixes(pool, wanted)) {
        throw new RpcError(Status.ALREADY_EXISTS, 'the pool exists with other prefixes', {
          reason: 'POOL_HAS_OTHER_PREFIXES',
          resource: { kind: 'pool', name: wanted.id },
        });
      }
      return {};
    },
    deletePool: async ({ poolId }) => {
      const id = readPoolId(poolId);
      if (!(await reachable(store.deletePool(id)))) {
        throw failedPrecondition('POOL_IN_USE', 'the pool has confirmed addresses; release them');
      }
      return {};
    },
    getPool: async ({ poolId }) => {
      const id = readPoolId(poolId);
      const usage = await reachable(store.usage(id, clock.now()));
      if (usage === undefined) throw notFound('pool', id);
      const { pool, used, quarantinedIpv4 } = usage;
      return {
        ipv4Prefix: formatIpPrefix(pool.ipv4Prefix),
        ipv6Prefix: formatIpPrefix(pool.ipv6Prefix),
        used: BigInt(used),
        freeIpv4: usableCount(pool.ipv4Prefix) - BigInt(used + quarantinedIpv4),
      };
    },
    listAddresses: async ({ poolId, pageSize, pageToken }) => {
      const id = readPoolId(poolId);
      const limit = readPageSize(pageSize);
      const after = readAddress(4, 'page_token', pageToken);
      const page = { after, limit: limit + 1 };
      const holdings = await reachable(store.list(id, page, clock.now()));
      if (holdings === undefined) throw notFound('pool', id);
      const shown = holdings.slice(0, limit);
      const last = holdings.length > limit ? shown.at(-1) : undefined;
      return {
        assignments: shown.map(assignmentOf),
        nextPageToken: last === undefined ? '' : formatIpAddress(last.ipv4),
      };
    },
  };
}

function createAddressHandlers({
  book,
  metrics,
}: IpamServiceOptions): Pick<
  Implementation,
  'reserveAddresses' | 'confirmAddresses' | 'releaseAddresses'
> {
  return {
    reserveAddresses: async (request) => {
      const poolId = readPoolId(request.poolId);
      const result = await reachable(book.reserve(poolId, readReservation(request)));
      metrics.reserved(result.outcome);
      if (result.outcome !== 'reserved') throw refusal(poolId, result);
      const { ipv4Address, ipv6Address, confirmed } = assignmentOf(result.holding);
      return { ipv4Address, ipv6Address, confirmed };
    },
    confirmAddresses: async ({ poolId, ownerId }) => {
      const isConfirmed = await reachable(book.confirm(readPoolId(poolId), readOwnerId(ownerId)));
      if (!isConfirmed) {
        throw failedPrecondition('LEASE_ENDED', 'the owner has no lease; reserve again');
      }
      return {};
    },
    releaseAddresses: async ({ poolId, ownerId }) => {
      const released = await reachable(book.release(readPoolId(poolId), readOwnerId(ownerId)));
      if (released) metrics.released();
      return { released };
    },
  };
}

function refusal(poolId: PoolId, refused: Exclude<ReserveOutcome, { outcome: 'reserved' }>): Error {
  if (refused.outcome === 'no-pool') return notFound('pool', poolId);
  const field = `ipv${refused.family}_address`;
  switch (refused.outcome) {
    case 'outside':
      return invalidField(field, 'must be one of the addresses that the pool can give');
    case 'full':
      return new RpcError(
        Status.RESOURCE_EXHAUSTED,
        `the pool has no free IPv${refused.family} address`,
        { reason: 'POOL_FULL', metadata: { family: String(refused.family) } },
      );
    case 'taken':
      return new RpcError(Status.ALREADY_EXISTS, `${field}: is taken`, {
        reason: 'ADDRESS_TAKEN',
        metadata: { family: String(refused.family) },
      });
    case 'holds-other':
      return new RpcError(Status.ALREADY_EXISTS, `${field}: the owner holds another address`, {
        reason: 'OWNER_HOLDS_OTHER_ADDRESS',
        metadata: { family: String(refused.family) },
      });
  }
}

function assignmentOf(holding: Holding): AddressAssignment {
  return {
    ownerId: holding.ownerId,
    ipv4Address: formatIpAddress(holding.ipv4),
    ipv6Address: formatIpAddress(holding.ipv6),
    confirmed: holding.state === 'confirmed',
  };
}

function samePrefixes(left: AddressPool, right: AddressPool): boolean {
  return (
    formatIpPrefix(left.ipv4Prefix) === formatIpPrefix(right.ipv4Prefix) &&
    formatIpPrefix(left.ipv6Prefix) === formatIpPrefix(right.ipv6Prefix)
  );
}

/** What the store answers; UNAVAILABLE where the database cannot be reached. Every method may be repeated then. */
async function reachable<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (isUnavailable(error)) {
      throw unavailable('the address store cannot be reached', {
        retryAfterMs: 1_000,
        cause: error,
      });
    }
    throw error;
  }
}

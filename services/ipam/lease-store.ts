import type { IpAddress, IpFamily, Ipv4Address } from '@nexodus/netip';
import type { AddressPair, AddressPool } from './core/address-pool.ts';
import type { TakenQuery } from './core/free-address-search.ts';
import type { Holding } from './core/holding.ts';
import type { OwnerId, PoolId } from './core/ids.ts';

/** How full a pool is. */
export interface PoolUsage {
  readonly pool: AddressPool;
  /** Owners that hold addresses, confirmed or leased. */
  readonly used: number;
  /** IPv4 addresses in quarantine. */
  readonly quarantinedIpv4: number;
}

/** Part of the holdings of a pool. */
export interface HoldingsPage {
  /** Only those behind this IPv4 address. */
  readonly after?: Ipv4Address;
  /** At most this many. */
  readonly limit: number;
}

/** How many rows an expiry removed. */
export interface Expired {
  /** Leases that ended without being confirmed. */
  readonly leases: number;
  /** Addresses whose quarantine ended. */
  readonly quarantines: number;
}

/**
 * Where pools, holdings and quarantines are kept. Instants are Unix milliseconds and come from the caller; a lease or
 * quarantine ends at its instant, that one included.
 */
export interface LeaseStore {
  /** Adds a pool unless one of that id is there; returns the one that is there then. */
  createPool(pool: AddressPool): Promise<AddressPool>;
  /** Removes a pool with its leases and quarantines; false, and nothing is changed, while it has confirmed holdings. */
  deletePool(id: PoolId): Promise<boolean>;
  /**
   * Runs `work` with the pool locked: no other `withPool` of this pool runs meanwhile, in any process. What it did is
   * kept when it resolves and undone when it rejects. It may be run again after a conflict, so it must have no effect
   * elsewhere. Undefined, without running it, when there is no such pool.
   */
  withPool<T>(id: PoolId, work: (pool: LockedPool) => Promise<T>): Promise<T | undefined>;
  /** Counts; undefined when there is no such pool. */
  usage(id: PoolId, now: number): Promise<PoolUsage | undefined>;
  /** Live holdings in order of IPv4 address; undefined when there is no such pool. */
  list(id: PoolId, page: HoldingsPage, now: number): Promise<Holding[] | undefined>;
  /** Removes some of what has ended, in all pools: all of it when repeated, unless somebody works on it. */
  expire(now: number): Promise<Expired>;
}

/** A pool while it is locked. Not to be used after `work` ended. */
export interface LockedPool {
  readonly pool: AddressPool;
  /** Where the search for the next free addresses begins. */
  readonly cursor: AddressPair;
  /** What the owner holds, also when its lease has ended and was not yet removed. */
  find(ownerId: OwnerId): Promise<Holding | undefined>;
  /** Removes what has ended in this pool. */
  expire(now: number): Promise<void>;
  /** Addresses that are held, or in quarantine after another owner than this one; ascending. */
  taken<F extends IpFamily>(query: TakenQuery<F>, ownerId: OwnerId): Promise<IpAddress<F>[]>;
  /**
   * Writes what an owner holds, in place of what it held, and where the next search begins. An address must not be
   * held by another owner: that rejects. The addresses' quarantine ends.
   */
  put(holding: Holding, cursor: AddressPair): Promise<void>;
  /** Removes what the owner holds, and keeps its addresses in quarantine until an instant. */
  release(holding: Holding, quarantineUntil: number): Promise<void>;
}

import type { Clock } from '@nexodus/clock';
import { type IpAddress, ipAddressesEqual, type IpFamily, type IpPrefix } from '@nexodus/netip';
import { isUsable, usableRange } from './core/address-pool.ts';
import { cursorAfter, searchFreeAddress } from './core/free-address-search.ts';
import {
  confirmed,
  disagreement,
  type Holding,
  isLive,
  renewed,
  type WantedAddresses,
} from './core/holding.ts';
import type { OwnerId, PoolId } from './core/ids.ts';
import type { LeaseStore, LockedPool } from './lease-store.ts';

/** What an address book needs. */
export interface AddressBookOptions {
  readonly store: Pick<LeaseStore, 'withPool'>;
  readonly clock: Pick<Clock, 'now'>;
  /** How long released addresses are kept from other owners. */
  readonly quarantineMs: number;
}

/** A wish for addresses. */
export interface Reservation {
  readonly ownerId: OwnerId;
  readonly wanted: WantedAddresses;
  /** Life of the lease from now. */
  readonly leaseMs: number;
}

/** What became of a wish. */
export type ReserveOutcome =
  | { readonly outcome: 'reserved'; readonly holding: Holding }
  | { readonly outcome: 'no-pool' }
  /** The wanted address cannot be given by this pool. */
  | { readonly outcome: 'outside'; readonly family: IpFamily }
  /** The wanted address is held by another owner or in quarantine after one. */
  | { readonly outcome: 'taken'; readonly family: IpFamily }
  /** The owner holds another address than the wanted one. */
  | { readonly outcome: 'holds-other'; readonly family: IpFamily }
  | { readonly outcome: 'full'; readonly family: IpFamily };

/** The rules of reserve, confirm and release on a store. */
export interface AddressBook {
  /** Leases one address of each family. What the owner holds already it gets again. */
  reserve(poolId: PoolId, reservation: Reservation): Promise<ReserveOutcome>;
  /** Makes a lease permanent; false when there is none, or it has ended. */
  confirm(poolId: PoolId, ownerId: OwnerId): Promise<boolean>;
  /** Gives back what the owner holds; false when that is nothing. */
  release(poolId: PoolId, ownerId: OwnerId): Promise<boolean>;
}

/** Makes an address book. */
export function createAddressBook({ store, clock, quarantineMs }: AddressBookOptions): AddressBook {
  return {
    reserve: async (poolId, reservation) => {
      const outcome = await store.withPool(poolId, (pool) =>
        reserveIn(pool, reservation, clock.now()),
      );
      return outcome ?? { outcome: 'no-pool' };
    },
    confirm: async (poolId, ownerId) => {
      const isConfirmed = await store.withPool(poolId, async (pool) => {
        const now = clock.now();
        const holding = await pool.find(ownerId);
        if (holding === undefined || !isLive(holding, now)) return false;
        if (holding.state === 'leased') await pool.put(confirmed(holding, now), pool.cursor);
        return true;
      });
      return isConfirmed ?? false;
    },
    release: async (poolId, ownerId) => {
      const isReleased = await store.withPool(poolId, async (pool) => {
        const now = clock.now();
        const holding = await pool.find(ownerId);
        if (holding === undefined || !isLive(holding, now)) return false;
        await pool.release(holding, now + quarantineMs);
        return true;
      });
      return isReleased ?? false;
    },
  };
}

async function reserveIn(
  pool: LockedPool,
  { ownerId, wanted, leaseMs }: Reservation,
  now: number,
): Promise<ReserveOutcome> {
  const former = await pool.find(ownerId);
  if (former !== undefined && isLive(former, now)) {
    const family = disagreement(former, wanted);
    if (family !== undefined) return { outcome: 'holds-other', family };
    const holding = renewed(former, now + leaseMs);
    if (holding.state === 'leased') await pool.put(holding, pool.cursor);
    return { outcome: 'reserved', holding };
  }
  await pool.expire(now);
  const { ipv4Prefix, ipv6Prefix } = pool.pool;
  const ipv4 = await chooseAddress(pool, ownerId, {
    prefix: ipv4Prefix,
    cursor: pool.cursor.ipv4,
    wanted: wanted.ipv4,
    former: former?.ipv4,
  });
  if ('outcome' in ipv4) return ipv4;
  const ipv6 = await chooseAddress(pool, ownerId, {
    prefix: ipv6Prefix,
    cursor: pool.cursor.ipv6,
    wanted: wanted.ipv6,
    former: former?.ipv6,
  });
  if ('outcome' in ipv6) return ipv6;
  const leaseUntil = now + leaseMs;
  const addresses = { ipv4: ipv4.address, ipv6: ipv6.address };
  const holding: Holding = { ownerId, ...addresses, state: 'leased', leaseUntil };
  await pool.put(holding, { ipv4: ipv4.cursor, ipv6: ipv6.cursor });
  return { outcome: 'reserved', holding };
}

/** What a choice goes by: the wanted address, else that of the owner's ended lease, else the next free one. */
interface Choice<F extends IpFamily> {
  readonly prefix: IpPrefix<F>;
  readonly cursor: IpAddress<F>;
  readonly wanted: IpAddress<F> | undefined;
  readonly former: IpAddress<F> | undefined;
}

/** An address with the cursor behind it, or why there is none. */
type Chosen<F extends IpFamily> =
  | { readonly address: IpAddress<F>; readonly cursor: IpAddress<F> }
  | { readonly outcome: 'outside' | 'taken' | 'full'; readonly family: IpFamily };

async function chooseAddress<F extends IpFamily>(
  pool: LockedPool,
  ownerId: OwnerId,
  { prefix, cursor, wanted, former }: Choice<F>,
): Promise<Chosen<F>> {
  const family = prefix.address.family;
  if (wanted !== undefined && !isUsable(prefix, wanted)) return { outcome: 'outside', family };
  const preferred = wanted ?? former;
  if (preferred !== undefined) {
    const [taken] = await pool.taken({ from: preferred, limit: 1 }, ownerId);
    if (taken === undefined || !ipAddressesEqual(taken, preferred))
      return { address: preferred, cursor };
    if (wanted !== undefined) return { outcome: 'taken', family };
  }
  const range = usableRange(prefix);
  const search = searchFreeAddress(range, cursor);
  let step = search.next();
  while (step.done !== true) step = search.next(await pool.taken(step.value, ownerId));
  if (step.value === undefined) return { outcome: 'full', family };
  return { address: step.value, cursor: cursorAfter(range, step.value) };
}

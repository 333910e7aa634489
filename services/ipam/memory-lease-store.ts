import {
  compareIpAddresses,
  type IpAddress,
  type IpFamily,
  ipAddressesEqual,
} from '@nexodus/netip';
import {
  type AddressPair,
  type AddressPool,
  isAddressOf,
  usableRange,
} from './core/address-pool.ts';
import { type Holding, isLive } from './core/holding.ts';
import type { OwnerId, PoolId } from './core/ids.ts';
import type { Expired, HoldingsPage, LeaseStore, LockedPool, PoolUsage } from './lease-store.ts';

interface Quarantine {
  readonly address: IpAddress;
  readonly lastOwnerId: OwnerId;
  readonly until: number;
}

interface PoolState {
  readonly pool: AddressPool;
  readonly cursor: AddressPair;
  readonly holdings: ReadonlyMap<OwnerId, Holding>;
  readonly quarantines: readonly Quarantine[];
}

/**
 * Keeps leases in memory, for simulations and tests. States are immutable, so that undoing is forgetting; each change
 * costs as much as the pool is full.
 */
export function createMemoryLeaseStore(): LeaseStore {
  const states = new Map<PoolId, PoolState>();
  const tails = new Map<PoolId, Promise<unknown>>();

  const inTurn = <T>(id: PoolId, work: () => Promise<T>): Promise<T> => {
    const turn = (tails.get(id) ?? Promise.resolve()).then(work);
    tails.set(
      id,
      turn.catch(() => {}),
    );
    return turn;
  };

  return {
    createPool: (pool) =>
      inTurn(pool.id, () => {
        const state = states.get(pool.id) ?? emptyPool(pool);
        states.set(pool.id, state);
        return Promise.resolve(state.pool);
      }),
    deletePool: (id) =>
      inTurn(id, () => {
        const holdings = [...(states.get(id)?.holdings.values() ?? [])];
        if (holdings.some(({ state }) => state === 'confirmed')) return Promise.resolve(false);
        states.delete(id);
        return Promise.resolve(true);
      }),
    withPool: (id, work) =>
      inTurn(id, async () => {
        const state = states.get(id);
        if (state === undefined) return undefined;
        const locked = new MemoryLockedPool(state);
        const result = await work(locked);
        states.set(id, locked.state);
        return result;
      }),
    usage: async (id, now) => {
      const state = states.get(id);
      return state && usageOf(unexpired(state, now));
    },
    list: async (id, page, now) => {
      const state = states.get(id);
      return state && listOf(unexpired(state, now), page);
    },
    expire: async (now) => {
      const expired = [...states.keys()].map((id) =>
        inTurn(id, async () => {
          const before = states.get(id);
          if (before === undefined) return { leases: 0, quarantines: 0 };
          const after = unexpired(before, now);
          states.set(id, after);
          return {
            leases: before.holdings.size - after.holdings.size,
            quarantines: before.quarantines.length - after.quarantines.length,
          };
        }),
      );
      return sum(await Promise.all(expired));
    },
  };
}

class MemoryLockedPool implements LockedPool {
  readonly pool: AddressPool;
  readonly cursor: AddressPair;
  state: PoolState;

  constructor(state: PoolState) {
    this.pool = state.pool;
    this.cursor = state.cursor;
    this.state = state;
  }

  async find(ownerId: OwnerId): Promise<Holding | undefined> {
    return this.state.holdings.get(ownerId);
  }

  async expire(now: number): Promise<void> {
    this.state = unexpired(this.state, now);
  }

  async taken<F extends IpFamily>(
    { from, limit }: { from: IpAddress<F>; limit: number },
    ownerId: OwnerId,
  ): Promise<IpAddress<F>[]> {
    const held = [...this.state.holdings.values()].flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
    const quarantined = this.state.quarantines
      .filter(({ lastOwnerId }) => lastOwnerId !== ownerId)
      .map(({ address }) => address);
    return [...held, ...quarantined]
      .filter((address): address is IpAddress<F> => isAddressOf(address, from.family))
      .filter((address) => compareIpAddresses(address, from) >= 0)
      .sort(compareIpAddresses)
      .slice(0, limit);
  }

  async put(holding: Holding, cursor: AddressPair): Promise<void> {
    const { holdings } = this.state;
    for (const other of holdings.values()) {
      if (other.ownerId === holding.ownerId) continue;
      if (ipAddressesEqual(other.ipv4, holding.ipv4) || ipAddressesEqual(other.ipv6, holding.ipv6))
        throw new Error('another owner holds this address');
    }
    this.state = {
      pool: this.pool,
      cursor,
      holdings: new Map(holdings).set(holding.ownerId, holding),
      quarantines: this.state.quarantines.filter(({ address }) => !holds(holding, address)),
    };
  }

  async release(holding: Holding, quarantineUntil: number): Promise<void> {
    const holdings = new Map(this.state.holdings);
    holdings.delete(holding.ownerId);
    const fresh = [holding.ipv4, holding.ipv6].map((address) => ({
      address,
      lastOwnerId: holding.ownerId,
      until: quarantineUntil,
    }));
    const others = this.state.quarantines.filter(({ address }) => !holds(holding, address));
    this.state = { ...this.state, holdings, quarantines: [...others, ...fresh] };
  }
}

function emptyPool(pool: AddressPool): PoolState {
  const cursor = {
    ipv4: usableRange(pool.ipv4Prefix).first,
    ipv6: usableRange(pool.ipv6Prefix).first,
  };
  return { pool, cursor, holdings: new Map(), quarantines: [] };
}

function unexpired(state: PoolState, now: number): PoolState {
  return {
    ...state,
    holdings: new Map([...state.holdings].filter(([, holding]) => isLive(holding, now))),
    quarantines: state.quarantines.filter(({ until }) => until > now),
  };
}

function usageOf({ pool, holdings, quarantines }: PoolState): PoolUsage {
  const quarantinedIpv4 = quarantines.filter(({ address }) => address.family === 4).length;
  return { pool, used: holdings.size, quarantinedIpv4 };
}

function listOf({ holdings }: PoolState, { after, limit }: HoldingsPage): Holding[] {
  return [...holdings.values()]
    .filter(({ ipv4 }) => after === undefined || compareIpAddresses(ipv4, after) > 0)
    .sort((left, right) => compareIpAddresses(left.ipv4, right.ipv4))
    .slice(0, limit);
}

function holds(pair: AddressPair, address: IpAddress): boolean {
  return ipAddressesEqual(pair.ipv4, address) || ipAddressesEqual(pair.ipv6, address);
}

function sum(parts: readonly Expired[]): Expired {
  return {
    leases: parts.reduce((total, { leases }) => total + leases, 0),
    quarantines: parts.reduce((total, { quarantines }) => total + quarantines, 0),
  };
}

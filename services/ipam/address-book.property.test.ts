import { ManualClock } from '@nexodus/clock';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AddressBook, createAddressBook } from './address-book.ts';
import type { AddressPool } from './core/address-pool.ts';
import type { OwnerId } from './core/ids.ts';
import { given, newOwner, newPool, wish } from './lease-store.contract.ts';
import type { LeaseStore } from './lease-store.ts';
import { createMemoryLeaseStore } from './memory-lease-store.ts';

const quarantineMs = 500;
const leaseMs = 60_000;
/** The six addresses of a /29. */
const hosts = [1, 2, 3, 4, 5, 6];

type Step =
  | { kind: 'reserve'; owner: number; wanted: number | undefined }
  | { kind: 'confirm' | 'release'; owner: number }
  | { kind: 'advance'; ms: number }
  | { kind: 'expire' };

const owner = fc.nat({ max: 8 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('reserve' as const),
      owner,
      wanted: fc.option(fc.constantFrom(...hosts), { nil: undefined, freq: 2 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('confirm' as const, 'release' as const), owner }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('advance' as const),
      ms: fc.constantFrom(1, quarantineMs, leaseMs),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const) }) },
);

/** What the rules say, in the plainest form: who has which IPv4 address until when. */
class Model {
  readonly held = new Map<OwnerId, { address: string; until: number }>();
  readonly quarantined = new Map<string, { owner: OwnerId; until: number }>();

  holderOf(address: string, now: number): OwnerId | undefined {
    for (const [holder, holding] of this.held)
      if (holding.address === address && holding.until > now) return holder;
    return undefined;
  }

  live(holder: OwnerId, now: number): { address: string; until: number } | undefined {
    const holding = this.held.get(holder);
    return holding !== undefined && holding.until > now ? holding : undefined;
  }

  isFreeFor(asker: OwnerId, address: string, now: number): boolean {
    const quarantine = this.quarantined.get(address);
    const isKept = quarantine !== undefined && quarantine.until > now && quarantine.owner !== asker;
    return this.holderOf(address, now) === undefined && !isKept;
  }
}

interface World {
  readonly model: Model;
  readonly store: LeaseStore;
  readonly book: AddressBook;
  readonly clock: ManualClock;
  readonly pool: AddressPool;
  readonly owners: readonly OwnerId[];
}

async function newWorld(): Promise<World> {
  const store = createMemoryLeaseStore();
  const clock = new ManualClock();
  const pool = newPool();
  await store.createPool(pool);
  const book = createAddressBook({ store, clock, quarantineMs });
  return {
    model: new Model(),
    store,
    book,
    clock,
    pool,
    owners: Array.from({ length: 9 }, newOwner),
  };
}

async function reserve(world: World, id: OwnerId, wanted: string): Promise<void> {
  const { model, book, clock, pool } = world;
  const now = clock.now();
  const before = model.live(id, now);
  const result = given(await book.reserve(pool.id, wish(id, wanted)));
  const [address = ''] = result.split(' ');
  if (before !== undefined) {
    expect(address).toBe(
      wanted === '' || wanted === before.address ? before.address : 'holds-other',
    );
    if (address === before.address) before.until = Math.max(before.until, now + leaseMs);
    return;
  }
  if (wanted !== '') expect(address).toBe(model.isFreeFor(id, wanted, now) ? wanted : 'taken');
  if (address === 'taken') return;
  if (address === 'full') {
    expect(hosts.filter((host) => model.isFreeFor(id, `10.0.0.${host}`, now))).toEqual([]);
    return;
  }
  expect(model.isFreeFor(id, address, now)).toBe(true);
  model.quarantined.delete(address);
  model.held.set(id, { address, until: now + leaseMs });
}

async function play(world: World, next: Step): Promise<void> {
  const { model, book, clock, pool, owners, store } = world;
  const now = clock.now();
  if (next.kind === 'advance') return clock.advance(next.ms);
  if (next.kind === 'expire') return void (await store.expire(now));
  const id = owners[next.owner];
  if (id === undefined) throw new Error('no such owner');
  if (next.kind === 'reserve') {
    return reserve(world, id, next.wanted === undefined ? '' : `10.0.0.${next.wanted}`);
  }
  const holding = model.live(id, now);
  const answer = await book[next.kind](pool.id, id);
  expect(answer).toBe(holding !== undefined);
  if (holding === undefined) return;
  if (next.kind === 'confirm') {
    holding.until = Infinity;
  } else {
    model.held.delete(id);
    model.quarantined.set(holding.address, { owner: id, until: now + quarantineMs });
  }
}

test('no history gives an address to two owners, replaces a wanted one, or loses one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const world = await newWorld();
      const { model, book, store, clock, pool, owners } = world;
      for (const next of steps) {
        await play(world, next);
        const holdings = (await store.list(pool.id, { limit: 100 }, clock.now())) ?? [];
        const live = owners.filter((id) => model.live(id, clock.now()) !== undefined);
        expect(holdings.map(({ ownerId }) => ownerId).toSorted()).toEqual(live.toSorted());
      }
      for (const id of owners) await book.release(pool.id, id);
      clock.advance(Math.max(quarantineMs, leaseMs));
      const results = await Promise.all(hosts.map(() => book.reserve(pool.id, wish(newOwner()))));
      expect(results.map(({ outcome }) => outcome)).toEqual(hosts.map(() => 'reserved'));
    }),
    { numRuns: 500 },
  );
});

/** What every lease store must do, with the rules of the address book on top of it. */
import { randomUUID } from 'node:crypto';
import { ManualClock } from '@nexodus/clock';
import { formatIpAddress } from '@nexodus/netip';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  type AddressBook,
  createAddressBook,
  type Reservation,
  type ReserveOutcome,
} from './address-book.ts';
import type { AddressPool } from './core/address-pool.ts';
import { type OwnerId, parseOwnerId } from './core/ids.ts';
import { readAddress, readPool } from './ipam-request.ts';
import type { LeaseStore } from './lease-store.ts';

const quarantineMs = 600_000;
const leaseMs = 60_000;

/** A pool of a new id with these prefixes. */
export function newPool(ipv4Prefix = '10.0.0.0/29', ipv6Prefix = 'fd00::/120'): AddressPool {
  return readPool({ poolId: randomUUID(), ipv4Prefix, ipv6Prefix });
}

/** A new owner. */
export function newOwner(): OwnerId {
  const id = parseOwnerId(randomUUID());
  if (id === undefined) throw new Error('not a UUID');
  return id;
}

/** A wish for any addresses, or for these. */
export function wish(ownerId: OwnerId, ipv4 = '', ipv6 = ''): Reservation {
  const wanted = { ipv4: readAddress(4, 'ipv4', ipv4), ipv6: readAddress(6, 'ipv6', ipv6) };
  return { ownerId, wanted, leaseMs };
}

/** The addresses that were given, or why none were. */
export function given(result: ReserveOutcome): string {
  if (result.outcome !== 'reserved') return result.outcome;
  return `${formatIpAddress(result.holding.ipv4)} ${formatIpAddress(result.holding.ipv6)}`;
}

/** Runs the suite on stores that `open` makes; each may hold what others left. */
export function describeLeaseStore(name: string, open: () => Promise<LeaseStore>): void {
  describe(name, () => {
    let store: LeaseStore;
    let clock: ManualClock;
    let book: AddressBook;
    let pool: AddressPool;

    beforeEach(async () => {
      store = await open();
      clock = new ManualClock(1_700_000_000_000);
      book = createAddressBook({ store, clock, quarantineMs });
      pool = newPool();
      await store.createPool(pool);
    });

    const reserve = async (owner: OwnerId, ipv4 = '', ipv6 = ''): Promise<string> =>
      given(await book.reserve(pool.id, wish(owner, ipv4, ipv6)));

    test('the pool that was created first stays', async () => {
      const other = { ...newPool('10.9.0.0/16'), id: pool.id };
      expect(await store.createPool(other)).toEqual(pool);
      expect(await store.createPool(pool)).toEqual(pool);
    });

    test('owners get different addresses, in order, and again the same ones', async () => {
      const [first, second] = [newOwner(), newOwner()];
      expect(await reserve(first)).toBe('10.0.0.1 fd00::1');
      expect(await reserve(second)).toBe('10.0.0.2 fd00::2');
      expect(await reserve(first)).toBe('10.0.0.1 fd00::1');
      expect((await store.usage(pool.id, clock.now()))?.used).toBe(2);
    });

    test('pools that overlap do not know of each other', async () => {
      const twin = newPool();
      await store.createPool(twin);
      const owner = newOwner();
      expect(await reserve(owner)).toBe('10.0.0.1 fd00::1');
      expect(given(await book.reserve(twin.id, wish(newOwner())))).toBe('10.0.0.1 fd00::1');
      expect(given(await book.reserve(twin.id, wish(owner)))).toBe('10.0.0.2 fd00::2');
    });

    test('a full pool says so, and has room again after a release and the quarantine', async () => {
      const owners = Array.from({ length: 6 }, newOwner);
      for (const owner of owners) await reserve(owner);
      expect(await reserve(newOwner())).toBe('full');
      const [gone] = owners;
      if (gone === undefined) throw new Error('no owner');
      for (const owner of owners) await book.confirm(pool.id, owner);
      expect(await book.release(pool.id, gone)).toBe(true);
      expect(await store.usage(pool.id, clock.now())).toMatchObject({
        used: 5,
        quarantinedIpv4: 1,
      });
      expect(await reserve(newOwner())).toBe('full');
      clock.advance(quarantineMs);
      expect(await store.usage(pool.id, clock.now())).toMatchObject({ quarantinedIpv4: 0 });
      expect(await reserve(newOwner())).toBe('10.0.0.1 fd00::7');
    });

    test('a wanted address is given as it is or refused, never replaced', async () => {
      const [holder, other] = [newOwner(), newOwner()];
      expect(await reserve(holder, '10.0.0.5', 'fd00::a')).toBe('10.0.0.5 fd00::a');
      expect(await reserve(other, '10.0.0.5')).toBe('taken');
      expect(await reserve(other, '', 'fd00::a')).toBe('taken');
      expect(await reserve(holder, '10.0.0.4')).toBe('holds-other');
      expect(await reserve(holder, '10.0.0.5')).toBe('10.0.0.5 fd00::a');
      for (const outside of ['10.0.0.0', '10.0.0.7', '10.0.0.8', '10.1.0.1'])
        expect(await reserve(other, outside)).toBe('outside');
      expect(await reserve(other, '', 'fd00::')).toBe('outside');
      expect((await store.usage(pool.id, clock.now()))?.used).toBe(1);
    });

    test('a refused wish for one family leaves nothing of the other behind', async () => {
      await reserve(newOwner(), '', 'fd00::5');
      const owner = newOwner();
      expect(await reserve(owner, '10.0.0.6', 'fd00::5')).toBe('taken');
      expect(await reserve(newOwner(), '10.0.0.6')).toBe('10.0.0.6 fd00::1');
      expect(await book.release(pool.id, owner)).toBe(false);
    });

    test('a released address is kept from others, but not from its last owner', async () => {
      const [owner, other] = [newOwner(), newOwner()];
      await reserve(owner, '10.0.0.3', 'fd00::3');
      await book.release(pool.id, owner);
      expect(await reserve(other, '10.0.0.3')).toBe('taken');
      expect(await reserve(owner, '10.0.0.3', 'fd00::3')).toBe('10.0.0.3 fd00::3');
      expect((await store.usage(pool.id, clock.now()))?.quarantinedIpv4).toBe(0);
    });

    test('a lease that was not confirmed ends; its owner gets the same again while it is free', async () => {
      const [owner, other] = [newOwner(), newOwner()];
      await reserve(owner, '10.0.0.3', 'fd00::3');
      clock.advance(leaseMs - 1);
      expect(await reserve(other, '10.0.0.3')).toBe('taken');
      clock.advance(1);
      expect((await store.usage(pool.id, clock.now()))?.used).toBe(0);
      expect(await book.confirm(pool.id, owner)).toBe(false);
      expect(await book.release(pool.id, owner)).toBe(false);
      expect(await reserve(owner)).toBe('10.0.0.3 fd00::3');
      clock.advance(leaseMs);
      expect(await reserve(other, '10.0.0.3')).toBe('10.0.0.3 fd00::1');
      expect(await reserve(owner)).toBe('10.0.0.1 fd00::2');
    });

    test('reserving again renews a lease and never shortens it', async () => {
      const owner = newOwner();
      await reserve(owner);
      await book.reserve(pool.id, { ...wish(owner), leaseMs: 1 });
      clock.advance(leaseMs - 1);
      await reserve(owner);
      clock.advance(leaseMs - 1);
      expect(await book.confirm(pool.id, owner)).toBe(true);
    });

    test('a confirmed holding outlives its lease and any expiry, until released once', async () => {
      const owner = newOwner();
      await reserve(owner);
      expect(await book.confirm(pool.id, owner)).toBe(true);
      clock.advance(365 * 24 * 3_600_000);
      await store.expire(clock.now());
      expect(await book.confirm(pool.id, owner)).toBe(true);
      expect(await reserve(owner)).toBe('10.0.0.1 fd00::1');
      expect(await book.release(pool.id, owner)).toBe(true);
      expect(await book.release(pool.id, owner)).toBe(false);
    });

    test('expiry removes ended leases and quarantines and nothing else', async () => {
      const [leased, confirmed, released] = [newOwner(), newOwner(), newOwner()];
      await reserve(leased);
      for (const owner of [confirmed, released]) {
        await reserve(owner);
        await book.confirm(pool.id, owner);
      }
      await book.release(pool.id, released);
      clock.advance(quarantineMs);
      const removed = await store.expire(clock.now());
      expect(removed.leases).toBeGreaterThanOrEqual(1);
      expect(removed.quarantines).toBeGreaterThanOrEqual(2);
      expect(await store.expire(clock.now())).toEqual({ leases: 0, quarantines: 0 });
      const holdings = await store.list(pool.id, { limit: 10 }, clock.now());
      expect(holdings?.map(({ ownerId }) => ownerId)).toEqual([confirmed]);
    });

    test('holdings are listed in order of address, page by page', async () => {
      const owners = Array.from({ length: 5 }, newOwner);
      for (const [index, owner] of owners.entries()) await reserve(owner, `10.0.0.${5 - index}`);
      const first = await store.list(pool.id, { limit: 3 }, clock.now());
      const rest = await store.list(pool.id, { after: first?.at(-1)?.ipv4, limit: 3 }, clock.now());
      const listed = [...(first ?? []), ...(rest ?? [])].map(({ ownerId }) => ownerId);
      expect(listed).toEqual(owners.toReversed());
    });

    test('a pool with confirmed holdings is not deleted; leases and quarantines go with it', async () => {
      const [owner, leased] = [newOwner(), newOwner()];
      await reserve(owner);
      await book.confirm(pool.id, owner);
      expect(await store.deletePool(pool.id)).toBe(false);
      await book.release(pool.id, owner);
      await reserve(leased);
      expect(await store.deletePool(pool.id)).toBe(true);
      expect(await store.deletePool(pool.id)).toBe(true);
      expect(await reserve(leased)).toBe('no-pool');
      expect(await book.confirm(pool.id, leased)).toBe(false);
      expect(await book.release(pool.id, leased)).toBe(false);
      expect(await store.list(pool.id, { limit: 1 }, clock.now())).toBeUndefined();
      await store.createPool(pool);
      expect(await reserve(newOwner())).toBe('10.0.0.1 fd00::1');
    });

    test('what failed inside a lock is undone', async () => {
      const owner = newOwner();
      const failure = new Error('crash');
      const failing = store.withPool(pool.id, async (locked) => {
        await locked.put(
          { ...locked.cursor, ownerId: owner, state: 'confirmed', confirmedAt: clock.now() },
          locked.cursor,
        );
        throw failure;
      });
      await expect(failing).rejects.toBe(failure);
      expect((await store.usage(pool.id, clock.now()))?.used).toBe(0);
    });

    test('the store refuses a second holder of an address, whoever asks', async () => {
      await reserve(newOwner(), '10.0.0.1');
      const second = store.withPool(pool.id, (locked) =>
        locked.put(
          { ...locked.cursor, ownerId: newOwner(), state: 'confirmed', confirmedAt: clock.now() },
          locked.cursor,
        ),
      );
      await expect(second).rejects.toThrow(/another owner|holdings_ipv4_once/);
    });

    test('50 callers at once get 50 addresses, and 50 of the same owner one', async () => {
      const wide = newPool('10.0.0.0/24', 'fd00::/64');
      await store.createPool(wide);
      const owners = Array.from({ length: 50 }, newOwner);
      const results = await Promise.all(owners.map((owner) => book.reserve(wide.id, wish(owner))));
      const addresses = results.map(given).flatMap((text) => text.split(' '));
      expect(new Set(addresses).size).toBe(100);
      const same = newOwner();
      const again = await Promise.all(owners.map(() => book.reserve(wide.id, wish(same))));
      expect(new Set(again.map(given)).size).toBe(1);
      expect((await store.usage(wide.id, clock.now()))?.used).toBe(51);
    });

    test('of many callers that want one address, one gets it', async () => {
      const owners = Array.from({ length: 20 }, newOwner);
      const results = await Promise.all(owners.map((owner) => reserve(owner, '10.0.0.4')));
      expect(results.filter((result) => result.startsWith('10.0.0.4 '))).toHaveLength(1);
      expect(results.filter((result) => result === 'taken')).toHaveLength(19);
    });

    test('of many releases at once, one releases', async () => {
      const owner = newOwner();
      await reserve(owner);
      await book.confirm(pool.id, owner);
      const results = await Promise.all(
        Array.from({ length: 20 }, () => book.release(pool.id, owner)),
      );
      expect(results.filter(Boolean)).toHaveLength(1);
    });
  });
}

import { systemClock } from '@nexodus/clock';
import { bootstrapSchema, type Database, openDatabase } from '@nexodus/database';
import { startTestPostgres, type TestPostgres } from '@nexodus/embedded-postgres/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAddressBook } from './address-book.ts';
import { initialSchema } from './initial-schema.ts';
import { describeLeaseStore, given, newOwner, newPool, wish } from './lease-store.contract.ts';
import type { LeaseStore } from './lease-store.ts';
import { createPostgresLeaseStore } from './postgres-lease-store.ts';

let server: TestPostgres;
let database: Database;
let replica: Database;

function open(url: string): Database {
  return openDatabase({
    connection: url,
    schema: 'ipam',
    role: 'ipam',
    applicationName: 'ipam test',
    clock: systemClock,
    random: Math.random,
  });
}

beforeAll(async () => {
  server = await startTestPostgres();
  const admin = await server.createDatabase();
  await bootstrapSchema({ admin, schema: 'ipam', role: 'ipam' });
  database = open(admin);
  replica = open(admin);
  await database.migrate([initialSchema]);
});

afterAll(async () => {
  await database.close();
  await replica.close();
  await server.stop();
});

describeLeaseStore('leases in PostgreSQL', () =>
  Promise.resolve(createPostgresLeaseStore(database)),
);

/** Sends every second call to another process's pool of connections. */
function alternating(stores: readonly [LeaseStore, LeaseStore]): Pick<LeaseStore, 'withPool'> {
  let turn = 0;
  return { withPool: (id, work) => stores[(turn = 1 - turn) as 0 | 1].withPool(id, work) };
}

describe('two replicas', () => {
  test('never give an address twice while leases end and are removed at the same time', async () => {
    const stores = [createPostgresLeaseStore(database), createPostgresLeaseStore(replica)] as const;
    const pool = newPool('10.0.0.0/26', 'fd00::/120');
    await stores[0].createPool(pool);
    let now = 1_700_000_000_000;
    const book = createAddressBook({
      store: alternating(stores),
      clock: { now: () => (now += 7) },
      quarantineMs: 50,
    });
    const live = new Map<string, string>();
    const session = async (): Promise<void> => {
      const owner = newOwner();
      for (let round = 0; round < 10; round += 1) {
        const result = await book.reserve(pool.id, { ...wish(owner), leaseMs: 100 });
        const isConfirmed = await book.confirm(pool.id, owner);
        if (!isConfirmed || result.outcome !== 'reserved') continue;
        const [ipv4 = ''] = given(result).split(' ');
        expect(live.get(ipv4) ?? owner).toBe(owner);
        live.set(ipv4, owner);
        expect(await book.confirm(pool.id, owner)).toBe(true);
        live.delete(ipv4);
        expect(await book.release(pool.id, owner)).toBe(true);
      }
    };
    const reaper = async (): Promise<void> => {
      for (let round = 0; round < 30; round += 1) await stores[1].expire(now);
    };
    await Promise.all([...Array.from({ length: 12 }, session), reaper()]);
    now += 10_000;
    await stores[0].expire(now);
    expect(await stores[0].usage(pool.id, now)).toMatchObject({ used: 0, quarantinedIpv4: 0 });
  });
});

describe('a large pool', () => {
  test('finds the next address by a few index entries however many are taken', async () => {
    const store = createPostgresLeaseStore(database);
    const pool = newPool('100.64.0.0/10', 'fd00:1::/64');
    await store.createPool(pool);
    await database.knex.raw(
      `INSERT INTO holdings (pool_id, owner_id, ipv4, ipv6, confirmed_at)
       SELECT ?, gen_random_uuid(), '100.64.0.1'::inet + n, 'fd00:1::1'::inet + n, now()
       FROM generate_series(0, 99999) AS n`,
      [pool.id],
    );
    await database.knex.raw('ANALYZE holdings');
    const book = createAddressBook({ store, clock: systemClock, quarantineMs: 1_000 });
    const first = await book.reserve(pool.id, wish(newOwner()));
    expect(given(first)).toBe('100.65.134.161 fd00:1::1:86a1');
    const plan = await database.knex.raw<{ rows: object[] }>(
      `EXPLAIN SELECT ipv4 FROM holdings
       WHERE pool_id = ? AND ipv4 >= '100.65.134.162' ORDER BY 1 LIMIT 8`,
      [pool.id],
    );
    expect(JSON.stringify(plan.rows)).toContain('holdings_ipv4_once');
    let questions = 0;
    const counting = createAddressBook({
      store: {
        withPool: (id, work) =>
          store.withPool(id, (locked) =>
            work({
              ...locked,
              taken: (query, owner) => {
                questions += 1;
                return locked.taken(query, owner);
              },
            }),
          ),
      },
      clock: systemClock,
      quarantineMs: 1_000,
    });
    for (let count = 0; count < 20; count += 1) await counting.reserve(pool.id, wish(newOwner()));
    expect(questions).toBe(40);
  });
});

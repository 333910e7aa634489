import { systemClock } from '@nexodus/clock';
import { startTestPostgres } from '@nexodus/embedded-postgres/testing';
import type { TestPostgres } from '@nexodus/embedded-postgres/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { bootstrapSchema } from './bootstrap-schema.ts';
import {
  isExclusionViolation,
  isForeignKeyViolation,
  isUnavailable,
  isUniqueViolation,
} from './database-errors.ts';
import { openDatabase } from './database.ts';
import type { Database, DatabaseOptions } from './database.ts';
import type { Migration } from './migrations.ts';
import { TransactionAbortedError } from './transaction.ts';

let server: TestPostgres;
let url: string;
const opened: Database[] = [];

beforeAll(async () => {
  server = await startTestPostgres();
});

afterAll(() => server.stop());

beforeEach(async () => {
  url = await server.createDatabase();
  await bootstrapSchema({
    admin: url,
    schema: 'ledger',
    role: 'ledger',
    extensions: ['btree_gist'],
  });
});

afterEach(() => Promise.all(opened.splice(0).map((database) => database.close())));

function asRole(role: string): string {
  return url.replace('nexodus@', `${role}@`);
}

function open(options: Partial<DatabaseOptions> = {}): Database {
  const database = openDatabase({
    connection: asRole('ledger'),
    schema: 'ledger',
    applicationName: 'test',
    clock: systemClock,
    random: Math.random,
    ...options,
  });
  opened.push(database);
  return database;
}

const ACCOUNTS: readonly Migration[] = [
  {
    name: '0001-account',
    up: (knex) =>
      knex.schema.createTable('account', (table) => {
        table.text('id').primary();
        table.bigInteger('balance').notNullable();
      }),
  },
  {
    name: '0002-entries',
    up: async (knex) => {
      await knex('account').insert([
        { id: 'a', balance: 100n },
        { id: 'b', balance: 100n },
      ]);
    },
  },
];

async function balances(database: Database): Promise<bigint> {
  const rows = await database.knex<{ balance: bigint }>('account').select('balance');
  return rows.reduce((sum, row) => sum + row.balance, 0n);
}

describe('migrations', () => {
  test('four replicas that start at once run each step once', async () => {
    const replicas = [1, 2, 3, 4].map(() => open());
    const ran = await Promise.all(replicas.map((replica) => replica.migrate(ACCOUNTS)));
    expect(ran.flat().toSorted()).toEqual(['0001-account', '0002-entries']);
    expect(await balances(open())).toBe(200n);
  });

  test('a step that fails leaves nothing of its run behind, and the next start continues', async () => {
    const database = open();
    const broken = {
      name: '0003-broken',
      up: (knex: Database['knex']) => knex.raw('SELECT no_such_column'),
    };
    await expect(database.migrate([...ACCOUNTS, broken])).rejects.toMatchObject({ code: '42703' });
    expect(await database.migrate(ACCOUNTS)).toEqual(['0001-account', '0002-entries']);
    expect(await database.migrate(ACCOUNTS)).toEqual([]);
  });

  test('an older program runs on a newer schema', async () => {
    const database = open();
    await database.migrate(ACCOUNTS);
    expect(await database.migrate(ACCOUNTS.slice(0, 1))).toEqual([]);
  });

  test('steps out of order are refused', async () => {
    await expect(open().migrate(ACCOUNTS.toReversed())).rejects.toThrow('must sort after');
  });
});

describe('transactions', () => {
  test('a real serialization failure is retried until both transactions are committed', async () => {
    const database = open();
    await database.migrate(ACCOUNTS);
    const bothHaveRead = Promise.withResolvers<void>();
    let attempts = 0;
    const withdraw = (id: string): Promise<void> =>
      database.transaction(
        async ({ knex }) => {
          attempts += 1;
          const rows = await knex('account').sum<{ sum: string }[]>('balance as sum');
          if (attempts === 2) bothHaveRead.resolve();
          await bothHaveRead.promise;
          await knex('account')
            .where({ id })
            .update({ balance: Number(rows[0]?.sum) - 150 });
        },
        { isolation: 'serializable' },
      );
    await Promise.all([withdraw('a'), withdraw('b')]);
    expect(attempts).toBe(3);
  });

  test('a deadlock is resolved by running the victim again', async () => {
    const database = open();
    await database.migrate(ACCOUNTS);
    const bothHold = Promise.withResolvers<void>();
    let holding = 0;
    const move = (from: string, to: string): Promise<void> =>
      database.transaction(async ({ knex }) => {
        await knex('account').where({ id: from }).decrement('balance', 1);
        holding += 1;
        if (holding === 2) bothHold.resolve();
        await bothHold.promise;
        await knex('account').where({ id: to }).increment('balance', 1);
      });
    await Promise.all([move('a', 'b'), move('b', 'a')]);
    expect(holding).toBe(3);
    expect(await balances(database)).toBe(200n);
  });

  test('a unique violation is retried only where the caller asks', async () => {
    const database = open();
    await database.migrate(ACCOUNTS);
    let attempts = 0;
    const insert = (retryUniqueViolation: boolean): Promise<unknown> =>
      database.transaction(
        ({ knex }) => {
          attempts += 1;
          return knex('account').insert({ id: attempts < 3 ? 'a' : 'c', balance: 0 });
        },
        { retryUniqueViolation },
      );
    await expect(insert(false)).rejects.toSatisfy((error) =>
      isUniqueViolation(error, 'account_pkey'),
    );
    await insert(true);
    expect(attempts).toBe(3);
  });

  test('hooks run after the commit, once, and what they throw changes nothing', async () => {
    const failures: string[] = [];
    const ignore = (): void => {};
    const logger = {
      debug: ignore,
      warn: ignore,
      error: (_: object, text: string) => void failures.push(text),
    };
    const database = open({ logger });
    await database.migrate(ACCOUNTS);
    const order: string[] = [];
    const result = await database.transaction(
      async ({ knex, onCommit }) => {
        onCommit(() => {
          throw new Error('hook');
        });
        onCommit(() => order.push('rung'));
        await knex('account')
          .insert({ id: order.length === 0 ? 'a' : 'd', balance: 0 })
          .catch((error: unknown) => {
            order.push('failed');
            throw error;
          });
        return 'done';
      },
      { retryUniqueViolation: true },
    );
    expect(result).toBe('done');
    expect(order).toEqual(['failed', 'rung']);
    expect(failures).toEqual(['a hook after commit failed']);
  });

  test('a swallowed failure is not taken for a commit', async () => {
    const database = open();
    await database.migrate(ACCOUNTS);
    const result = database.transaction(async ({ knex, onCommit }) => {
      onCommit(() => expect.unreachable());
      await knex('account').insert({ id: 'z', balance: 1n });
      await knex.raw('SELECT 1/0').catch(() => undefined);
    });
    await expect(result).rejects.toThrow(TransactionAbortedError);
    expect(await balances(database)).toBe(200n);
  });

  test('a failure inside a savepoint does not keep the rest from being committed', async () => {
    const database = open();
    await database.migrate(ACCOUNTS);
    await database.transaction(async ({ knex }) => {
      await knex('account').insert({ id: 'z', balance: 1n });
      await knex.transaction((inner) => inner.raw('SELECT 1/0')).catch(() => undefined);
    });
    expect(await balances(database)).toBe(201n);
  });

  test('a statement or a wait for a lock beyond its limit fails', async () => {
    const database = open();
    await database.migrate(ACCOUNTS);
    const slow = database.transaction(({ knex }) => knex.raw('SELECT pg_sleep(60)'), {
      statementTimeoutMs: 20,
    });
    await expect(slow).rejects.toMatchObject({ code: '57014' });
    const blocked = database.transaction(async ({ knex }) => {
      await knex.raw('LOCK TABLE account');
      await database.transaction((inner) => inner.knex('account').select(), { lockTimeoutMs: 20 });
    });
    await expect(blocked).rejects.toMatchObject({ code: '55P03' });
  });

  test('snapshots read in repeatable read do not move, and read-only ones cannot write', async () => {
    const database = open();
    await database.migrate(ACCOUNTS);
    await database.transaction(
      async ({ knex }) => {
        const before = await knex('account').select();
        await database.knex('account').update({ balance: 1 });
        expect(await knex('account').select()).toEqual(before);
      },
      { isolation: 'repeatable read', readOnly: true },
    );
    const write = database.transaction(({ knex }) => knex('account').delete(), { readOnly: true });
    await expect(write).rejects.toMatchObject({ code: '25006' });
  });
});

describe('schemas', () => {
  test('a role sees its own schema and no other', async () => {
    await bootstrapSchema({ admin: url, schema: 'stranger', role: 'stranger' });
    await open().migrate(ACCOUNTS);
    const stranger = open({ connection: asRole('stranger'), schema: 'stranger' });
    expect(await stranger.migrate(ACCOUNTS)).toHaveLength(2);
    await expect(stranger.knex.raw('SELECT * FROM ledger.account')).rejects.toMatchObject({
      code: '42501',
    });
    await expect(stranger.knex.raw('CREATE TABLE public.x (id int)')).rejects.toMatchObject({
      code: '42501',
    });
    await expect(stranger.knex.raw('CREATE ROLE more')).rejects.toMatchObject({ code: '42501' });
    await expect(stranger.knex.raw('SET ROLE ledger')).rejects.toMatchObject({ code: '42501' });
  });

  test('bootstrapping again, also at once, changes nothing', async () => {
    const again = { admin: url, schema: 'ledger', role: 'ledger', password: "it's a ?" };
    await Promise.all([1, 2, 3].map(() => bootstrapSchema(again)));
    expect(await open().healthy()).toBe(true);
  });

  test('a connection of another user takes on the role', async () => {
    const database = open({ connection: url, role: 'ledger' });
    const { rows } = await database.knex.raw<{ rows: unknown[] }>(
      'SELECT current_user::text AS name',
    );
    expect(rows).toEqual([{ name: 'ledger' }]);
  });
});

describe('values and errors', () => {
  test('bigint columns are exact bigints, arrays and null included', async () => {
    const { rows } = await open().knex.raw<{ rows: unknown[] }>(
      `SELECT 9007199254740993 AS revision, ARRAY[1, NULL]::bigint[] AS list, NULL::bigint AS nothing, 1::int AS small,
       ?::bigint AS bound`,
      ['9007199254740993'],
    );
    expect(rows).toEqual([
      {
        revision: 9_007_199_254_740_993n,
        list: [1n, null],
        nothing: null,
        small: 1,
        bound: 9_007_199_254_740_993n,
      },
    ]);
  });

  test('violations of real constraints are recognised', async () => {
    const { knex } = open();
    await knex.raw(`CREATE TABLE parent (id int PRIMARY KEY);
      CREATE TABLE child (parent int REFERENCES parent, during int4range, EXCLUDE USING gist (parent WITH =, during WITH &&))`);
    const orphan = knex.raw('INSERT INTO child VALUES (7, NULL)');
    await expect(orphan).rejects.toSatisfy((error) =>
      isForeignKeyViolation(error, 'child_parent_fkey'),
    );
    const overlap = knex.raw(
      `INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, '[1,5)'), (1, '[2,3)')`,
    );
    await expect(overlap).rejects.toSatisfy((error) => isExclusionViolation(error));
  });

  test('a database that is not there is unavailable, and heals when connections were cut', async () => {
    const absent = open({ connection: { host: '/nonexistent', user: 'nobody' } });
    expect(await absent.healthy()).toBe(false);
    await expect(absent.knex.raw('SELECT 1')).rejects.toSatisfy(isUnavailable);
    const database = open({ poolMax: 1 });
    const admin = open({ connection: url });
    const cut = database.transaction(async ({ knex }) => {
      const { rows } = await knex.raw<{ rows: { pid: number }[] }>(
        'SELECT pg_backend_pid() AS pid',
      );
      await admin.knex.raw('SELECT pg_terminate_backend(?)', [rows[0]?.pid ?? 0]);
      await knex.raw('SELECT 1');
    });
    await expect(cut).rejects.toSatisfy(isUnavailable);
    await expect.poll(() => database.healthy()).toBe(true);
  });
});

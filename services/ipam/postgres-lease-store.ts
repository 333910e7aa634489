import type { Database } from '@nexodus/database';
import {
  formatIpAddress,
  formatIpPrefix,
  type IpAddress,
  type IpFamily,
  type IpPrefix,
  isPrefixOf,
  lastAddress,
  parseIpAddress,
  parseIpPrefix,
} from '@nexodus/netip';
import type { Knex } from 'knex';
import {
  type AddressPair,
  type AddressPool,
  isAddressOf,
  usableRange,
} from './core/address-pool.ts';
import type { Holding } from './core/holding.ts';
import { parseOwnerId, type PoolId } from './core/ids.ts';
import type { Expired, HoldingsPage, LeaseStore, LockedPool, PoolUsage } from './lease-store.ts';

interface PoolRow {
  ipv4_prefix: string;
  ipv6_prefix: string;
  next_ipv4: string;
  next_ipv6: string;
}

interface HoldingRow {
  owner_id: string;
  ipv4: string;
  ipv6: string;
  confirmed_at: Date | null;
  lease_until: Date | null;
}

const holdingColumns =
  'owner_id, host(ipv4) AS ipv4, host(ipv6) AS ipv6, confirmed_at, lease_until';

/** Rows of each kind that one expiry removes at most, so that it never holds many locks. */
const expiryPortion = 10_000;

/** Rows that somebody works on are left to them, so that expiry waits for nobody and nobody deadlocks with it. */
const deleteEndedLeases = `
  DELETE FROM holdings WHERE (pool_id, owner_id) IN (
    SELECT pool_id, owner_id FROM holdings WHERE lease_until <= :now
    LIMIT :limit FOR UPDATE SKIP LOCKED
  ) RETURNING 1 AS one`;

const deleteEndedQuarantines = `
  DELETE FROM quarantines WHERE (pool_id, address) IN (
    SELECT pool_id, address FROM quarantines WHERE until <= :now
    LIMIT :limit FOR UPDATE SKIP LOCKED
  ) RETURNING 1 AS one`;

/** Keeps leases in PostgreSQL, in the schema that the database is opened on (`initialSchema`). */
export function createPostgresLeaseStore(database: Database): LeaseStore {
  const { knex } = database;
  return {
    createPool: async (pool) => {
      await knex.raw(
        `INSERT INTO pools (id, ipv4_prefix, ipv6_prefix, next_ipv4, next_ipv6)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
        [
          pool.id,
          formatIpPrefix(pool.ipv4Prefix),
          formatIpPrefix(pool.ipv6Prefix),
          formatIpAddress(usableRange(pool.ipv4Prefix).first),
          formatIpAddress(usableRange(pool.ipv6Prefix).first),
        ],
      );
      const row = await selectPool(knex, pool.id);
      return row === undefined ? pool : poolOf(pool.id, row);
    },
    deletePool: (id) =>
      database.transaction(async (transaction) => deletePool(transaction.knex, id), {
        name: 'delete pool',
      }),
    withPool: (id, work) =>
      database.transaction(
        async (transaction) => {
          const row = await selectPool(transaction.knex, id, 'FOR NO KEY UPDATE');
          return row === undefined ? undefined : work(lockedPool(transaction.knex, id, row));
        },
        { name: 'with pool' },
      ),
    usage: (id, now) => usage(knex, id, now),
    list: (id, page, now) => list(knex, id, page, now),
    expire: (now) => expire(knex, now),
  };
}

async function deletePool(knex: Knex, id: PoolId): Promise<boolean> {
  if ((await selectPool(knex, id, 'FOR UPDATE')) === undefined) return true;
  const held = await select(
    knex,
    'SELECT 1 AS one FROM holdings WHERE pool_id = :id AND confirmed_at IS NOT NULL LIMIT 1',
    { id },
  );
  if (held.length > 0) return false;
  await knex.raw('DELETE FROM pools WHERE id = ?', [id]);
  return true;
}

async function usage(knex: Knex, id: PoolId, now: number): Promise<PoolUsage | undefined> {
  const rows: (PoolRow & { used: bigint; quarantined: bigint })[] = await select(
    knex,
    `SELECT ipv4_prefix, ipv6_prefix, host(next_ipv4) AS next_ipv4, host(next_ipv6) AS next_ipv6,
       (SELECT count(*) FROM holdings
        WHERE pool_id = pools.id AND (lease_until IS NULL OR lease_until > :now)) AS used,
       (SELECT count(*) FROM quarantines
        WHERE pool_id = pools.id AND family(address) = 4 AND until > :now) AS quarantined
     FROM pools WHERE id = :id`,
    { id, now: new Date(now) },
  );
  return rows.map((row) => ({
    pool: poolOf(id, row),
    used: Number(row.used),
    quarantinedIpv4: Number(row.quarantined),
  }))[0];
}

async function list(
  knex: Knex,
  id: PoolId,
  { after, limit }: HoldingsPage,
  now: number,
): Promise<Holding[] | undefined> {
  const rows: HoldingRow[] = await select(
    knex,
    `SELECT ${holdingColumns} FROM holdings
     WHERE pool_id = :id AND holdings.ipv4 > :after AND (lease_until IS NULL OR lease_until > :now)
     ORDER BY holdings.ipv4 LIMIT :limit`,
    {
      id,
      after: after === undefined ? '0.0.0.0' : formatIpAddress(after),
      now: new Date(now),
      limit,
    },
  );
  if (rows.length === 0 && (await selectPool(knex, id)) === undefined) return undefined;
  return rows.map(holdingOf);
}

async function expire(knex: Knex, now: number): Promise<Expired> {
  const ended = { now: new Date(now), limit: expiryPortion };
  const leases = await select(knex, deleteEndedLeases, ended);
  const quarantines = await select(knex, deleteEndedQuarantines, ended);
  return { leases: leases.length, quarantines: quarantines.length };
}

function lockedPool(knex: Knex, poolId: PoolId, row: PoolRow): LockedPool {
  const pool = poolOf(poolId, row);
  const cursor = {
    ipv4: addressOf(4, row.next_ipv4),
    ipv6: addressOf(6, row.next_ipv6),
  };
  return {
    pool,
    cursor,
    find: async (ownerId) => {
      const rows: HoldingRow[] = await select(
        knex,
        `SELECT ${holdingColumns} FROM holdings WHERE pool_id = :poolId AND owner_id = :ownerId`,
        { poolId, ownerId },
      );
      return rows.map(holdingOf)[0];
    },
    expire: async (now) => {
      await knex.raw(
        `WITH leases AS (DELETE FROM holdings WHERE pool_id = :poolId AND lease_until <= :now)
         DELETE FROM quarantines WHERE pool_id = :poolId AND until <= :now`,
        { poolId, now: new Date(now) },
      );
    },
    taken: ({ from, limit }, ownerId) => taken(knex, pool, { from, limit, ownerId }),
    put: (holding, next) => putHolding(knex, poolId, holding, next),
    release: async (holding, quarantineUntil) => {
      await knex.raw(
        `WITH released AS (
           DELETE FROM holdings WHERE pool_id = :poolId AND owner_id = :ownerId RETURNING ipv4, ipv6
         )
         INSERT INTO quarantines (pool_id, address, last_owner_id, until)
         SELECT :poolId, address, :ownerId, :until
         FROM released, LATERAL (VALUES (ipv4), (ipv6)) AS released_address (address)
         ON CONFLICT (pool_id, address)
         DO UPDATE SET last_owner_id = excluded.last_owner_id, until = excluded.until`,
        { poolId, ownerId: holding.ownerId, until: new Date(quarantineUntil) },
      );
    },
  };
}

async function taken<F extends IpFamily>(
  knex: Knex,
  pool: AddressPool,
  query: { from: IpAddress<F>; limit: number; ownerId: string },
): Promise<IpAddress<F>[]> {
  const { from, limit, ownerId } = query;
  const { column, prefix }: { column: string; prefix: IpPrefix } =
    from.family === 4
      ? { column: 'ipv4', prefix: pool.ipv4Prefix }
      : { column: 'ipv6', prefix: pool.ipv6Prefix };
  const rows: { address: string }[] = await select(
    knex,
    `SELECT host(address) AS address FROM (
       (SELECT ${column} AS address FROM holdings
        WHERE pool_id = :poolId AND ${column} >= :from ORDER BY 1 LIMIT :limit)
       UNION ALL
       (SELECT address FROM quarantines
        WHERE pool_id = :poolId AND address BETWEEN :from AND :to AND last_owner_id <> :ownerId
        ORDER BY 1 LIMIT :limit)
     ) AS taken ORDER BY taken.address LIMIT :limit`,
    {
      poolId: pool.id,
      ownerId,
      from: formatIpAddress(from),
      to: formatIpAddress(lastAddress(prefix)),
      limit,
    },
  );
  return rows.map(({ address }) => addressOf(from.family, address));
}

async function putHolding(
  knex: Knex,
  poolId: PoolId,
  holding: Holding,
  next: AddressPair,
): Promise<void> {
  await knex.raw(
    `WITH freed AS (
       DELETE FROM quarantines WHERE pool_id = :poolId AND address IN (:ipv4, :ipv6)
     ), moved AS (
       UPDATE pools SET next_ipv4 = :nextIpv4, next_ipv6 = :nextIpv6
       WHERE id = :poolId AND (next_ipv4 <> :nextIpv4 OR next_ipv6 <> :nextIpv6)
     )
     INSERT INTO holdings (pool_id, owner_id, ipv4, ipv6, confirmed_at, lease_until)
     VALUES (:poolId, :ownerId, :ipv4, :ipv6, :confirmedAt, :leaseUntil)
     ON CONFLICT (pool_id, owner_id) DO UPDATE
     SET ipv4 = excluded.ipv4, ipv6 = excluded.ipv6,
         confirmed_at = excluded.confirmed_at, lease_until = excluded.lease_until`,
    {
      poolId,
      ownerId: holding.ownerId,
      ipv4: formatIpAddress(holding.ipv4),
      ipv6: formatIpAddress(holding.ipv6),
      nextIpv4: formatIpAddress(next.ipv4),
      nextIpv6: formatIpAddress(next.ipv6),
      confirmedAt: holding.state === 'confirmed' ? new Date(holding.confirmedAt) : null,
      leaseUntil: holding.state === 'leased' ? new Date(holding.leaseUntil) : null,
    },
  );
}

async function selectPool(
  knex: Knex,
  id: PoolId,
  lock: '' | 'FOR UPDATE' | 'FOR NO KEY UPDATE' = '',
): Promise<PoolRow | undefined> {
  const rows: PoolRow[] = await select(
    knex,
    `SELECT ipv4_prefix, ipv6_prefix, host(next_ipv4) AS next_ipv4, host(next_ipv6) AS next_ipv6
     FROM pools WHERE id = :id ${lock}`,
    { id },
  );
  return rows[0];
}

/** Rows of a statement; the caller names their type, as the statement does their columns. */
async function select<Row>(
  knex: Knex,
  sql: string,
  bindings: Readonly<Record<string, Knex.Value>>,
): Promise<Row[]> {
  const result: { rows: Row[] } = await knex.raw(sql, bindings);
  return result.rows;
}

function poolOf(id: PoolId, row: PoolRow): AddressPool {
  return { id, ipv4Prefix: prefixOf(4, row.ipv4_prefix), ipv6Prefix: prefixOf(6, row.ipv6_prefix) };
}

function holdingOf(row: HoldingRow): Holding {
  const ownerId = parseOwnerId(row.owner_id);
  if (ownerId === undefined) throw new Error('a holding has no owner');
  const addresses = { ipv4: addressOf(4, row.ipv4), ipv6: addressOf(6, row.ipv6) };
  if (row.confirmed_at !== null) {
    return { ownerId, ...addresses, state: 'confirmed', confirmedAt: row.confirmed_at.getTime() };
  }
  if (row.lease_until === null) throw new Error('a holding is neither leased nor confirmed');
  return { ownerId, ...addresses, state: 'leased', leaseUntil: row.lease_until.getTime() };
}

function addressOf<F extends IpFamily>(family: F, text: string): IpAddress<F> {
  const address = parseIpAddress(text);
  if (!isAddressOf(address, family)) throw new Error(`${text} is of the other family`);
  return address;
}

function prefixOf<F extends IpFamily>(family: F, text: string): IpPrefix<F> {
  const prefix = parseIpPrefix(text);
  if (!isPrefixOf(prefix, family)) throw new Error(`${text} is of the other family`);
  return prefix;
}

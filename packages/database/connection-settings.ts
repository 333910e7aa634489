import type { Knex } from 'knex';

import { createKnex } from './knex-module.ts';
import { valueParsers } from './value-parsers.ts';

/** Where the database is, as `pg` takes it: a URL, or options such as `{ host, port, user, database, ssl }`. */
export type DatabaseConnection = string | Readonly<Knex.PgConnectionConfig>;

/** Where notes about the pool go; a `pino` logger fits. */
export interface DatabaseLogger {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a pool is made of. */
export interface PoolOptions {
  readonly connection: DatabaseConnection;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly poolMax: number;
  /** Unqualified names are looked up here, first to last. */
  readonly searchPath: readonly string[];
  /** Statements every new connection starts with. */
  readonly setUp?: readonly string[];
  readonly logger?: DatabaseLogger;
}

/** What waiting for a free connection may take. */
const ACQUIRE_TIMEOUT_MS = 10_000;

/** What opening a connection may take. */
const CONNECT_TIMEOUT_MS = 5_000;

/** A knex instance over a pool that opens connections when they are needed. */
export function createPool(options: PoolOptions): Knex {
  const base =
    typeof options.connection === 'string'
      ? { connectionString: options.connection }
      : options.connection;
  return createKnex({
    client: 'pg',
    connection: {
      ...base,
      application_name: options.applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      types: valueParsers,
    },
    searchPath: [...options.searchPath],
    acquireConnectionTimeout: ACQUIRE_TIMEOUT_MS,
    pool: { min: 0, max: options.poolMax, afterCreate: afterCreate(options.setUp ?? []) },
    log: poolLog(options.logger),
  });
}

/** A name as SQL writes it. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The part of a `pg` client that preparing a connection needs. */
interface NewConnection {
  query(sql: string, done: (error: Error | null) => void): void;
}

type Done = (error: Error | null, connection: NewConnection) => void;

function afterCreate(
  statements: readonly string[],
): (connection: NewConnection, done: Done) => void {
  const sql = statements.join('; ');
  return (connection, done) => {
    if (sql === '') done(null, connection);
    else connection.query(sql, (error) => done(error, connection));
  };
}

function poolLog(logger: DatabaseLogger | undefined): Knex.Logger {
  const text = (message: unknown): string =>
    message instanceof Error ? message.message : String(message);
  return {
    debug: () => {},
    deprecate: (method: string) => logger?.debug({ method }, 'deprecated database call'),
    warn: (message: unknown) => logger?.warn({ detail: text(message) }, 'database pool'),
    error: (message: unknown) => logger?.error({ detail: text(message) }, 'database pool'),
  };
}

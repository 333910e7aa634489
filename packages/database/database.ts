import type { Clock } from '@nexodus/clock';
import type { Knex } from 'knex';

import { createPool, quoteIdentifier } from './connection-settings.ts';
import type { DatabaseConnection, DatabaseLogger } from './connection-settings.ts';
import { isSerializationConflict, isUniqueViolation } from './database-errors.ts';
import { migrate } from './migrations.ts';
import type { Migration } from './migrations.ts';
import { withRetry } from './transaction-retry.ts';
import { inTransactionSpan, runTransaction } from './transaction.ts';
import type { Transaction, TransactionOptions } from './transaction.ts';

/** How a database is opened. */
export interface DatabaseOptions {
  readonly connection: DatabaseConnection;
  /** The service's schema; unqualified names mean it, then `public`, where the extensions are. */
  readonly schema: string;
  /** Shown in `pg_stat_activity`, such as `ipam`. */
  readonly applicationName: string;
  readonly clock: Clock;
  /** Uniform in [0, 1), for the waits between attempts. */
  readonly random: () => number;
  /** Taken on by every connection (`SET ROLE`) where the connection's own user is another. */
  readonly role?: string;
  /** Connections at most; 10 by default. */
  readonly poolMax?: number;
  /** Longest a statement may run; 15,000 by default. */
  readonly statementTimeoutMs?: number;
  /** Longest a statement may wait for a lock; 5,000 by default. */
  readonly lockTimeoutMs?: number;
  readonly logger?: DatabaseLogger;
}

/** One service's schema in PostgreSQL. */
export interface Database {
  /**
   * Queries outside transactions. `bigint` columns come back as bigint and `numeric` as string. Either may be
   * bound as bigint (`knex.raw`, whose types know no bigint, takes its text).
   */
  readonly knex: Knex;
  /** Brings the schema up to date; see `migrate`. Returns the names of the steps that were run. */
  migrate(migrations: readonly Migration[]): Promise<string[]>;
  /**
   * Runs `work` in a transaction and commits it. On a serialization failure or a deadlock it is rolled back and run
   * again after a random wait, so `work` must have no effect outside the database: effects belong into `onCommit`.
   * Rejects with the last error. Calls do not nest.
   */
  transaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  /** Whether a query is answered within 2 s. Never rejects. */
  healthy(): Promise<boolean>;
  /** Waits for queries in progress and closes all connections. Idempotent. */
  close(): Promise<void>;
}

const DEFAULT_POOL_MAX = 10;
const DEFAULT_STATEMENT_TIMEOUT_MS = 15_000;
const DEFAULT_LOCK_TIMEOUT_MS = 5_000;

/** A process that stopped answering must not keep its locks; well above any pause between two statements. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000;

const HEALTH_TIMEOUT_MS = 2_000;

/** Ten attempts wait 2.5 s in all on average; a hot VPC row is won long before that. */
const RETRY = { maxAttempts: 10, baseDelayMs: 10, maxDelayMs: 1_000 };

/**
 * Opens a pool on one service's schema. Connections are made when they are needed, so this neither waits nor fails.
 *
 * Settings are made per session: behind PgBouncer, use session pooling.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { schema, clock, random, logger } = options;
  const knex = createPool({
    connection: options.connection,
    applicationName: options.applicationName,
    poolMax: options.poolMax ?? DEFAULT_POOL_MAX,
    searchPath: [schema, 'public'],
    setUp: sessionSettings(options),
    logger,
  });
  let closed: Promise<void> | undefined;
  return {
    knex,
    migrate: (migrations) => migrate(knex, schema, migrations),
    healthy: () => isHealthy(knex),
    close: () => (closed ??= knex.destroy()),
    transaction: async (work, transactionOptions = {}) => {
      const { result, hooks } = await inTransactionSpan(
        { name: transactionOptions.name, schema },
        (span) =>
          withRetry(
            (attempt) => {
              span.setAttribute('db.transaction.attempts', attempt);
              return runTransaction(knex, work, transactionOptions);
            },
            {
              policy: {
                ...RETRY,
                maxAttempts: transactionOptions.maxAttempts ?? RETRY.maxAttempts,
              },
              clock,
              random,
              isRetryable: (error) => isRetryable(error, transactionOptions),
              signal: transactionOptions.signal,
            },
          ),
      );
      for (const hook of hooks) runHook(hook, logger);
      return result;
    },
  };
}

function isRetryable(error: unknown, options: TransactionOptions): boolean {
  if (isSerializationConflict(error)) return true;
  return options.retryUniqueViolation === true && isUniqueViolation(error);
}

function sessionSettings(options: DatabaseOptions): string[] {
  const role = options.role === undefined ? [] : [`SET ROLE ${quoteIdentifier(options.role)}`];
  return [
    ...role,
    `SET statement_timeout = ${Math.ceil(options.statementTimeoutMs ?? DEFAULT_STATEMENT_TIMEOUT_MS)}`,
    `SET lock_timeout = ${Math.ceil(options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS)}`,
    `SET idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
  ];
}

async function isHealthy(knex: Knex): Promise<boolean> {
  try {
    await knex.raw('SELECT 1').timeout(HEALTH_TIMEOUT_MS);
    return true;
  } catch {
    return false;
  }
}

function runHook(hook: () => void, logger: DatabaseLogger | undefined): void {
  try {
    hook();
  } catch (error) {
    logger?.error({ err: error }, 'a hook after commit failed');
  }
}

import { SpanStatusCode, trace } from '@opentelemetry/api';
import type { Span } from '@opentelemetry/api';
import type { Knex } from 'knex';

/** SQLSTATE of every statement in an aborted transaction. */
const IN_FAILED_TRANSACTION = '25P02';

/** How a transaction is run. */
export interface TransactionOptions {
  /** Names the span, such as `reserve address`; constant, without data. */
  readonly name?: string;
  /** `read committed` by default. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  readonly readOnly?: boolean;
  /** Runs it again on a unique violation too: for transactions that look first and insert what they did not find. */
  readonly retryUniqueViolation?: boolean;
  /** Attempts in all; 10 by default. */
  readonly maxAttempts?: number;
  /** Longest a statement may run; the pool's default otherwise. */
  readonly statementTimeoutMs?: number;
  /** Longest a statement may wait for a lock; the pool's default otherwise. */
  readonly lockTimeoutMs?: number;
  /** No further attempt is begun once it is aborted. */
  readonly signal?: AbortSignal;
}

/** A transaction in progress. */
export interface Transaction {
  /** Queries of this transaction. Queries of the pool's knex are not part of it. */
  readonly knex: Knex.Transaction;
  /**
   * Runs `hook` after the commit, in the order of registration and never after a rollback or for an attempt that is
   * repeated. What it throws is logged, because the commit stands.
   */
  readonly onCommit: (hook: () => void) => void;
}

/** A statement of the transaction failed, the caller went on, and nothing can be committed any more. */
export class TransactionAbortedError extends Error {
  constructor() {
    super(
      'a statement of this transaction failed and its error was not passed on; nothing was committed',
    );
    this.name = 'TransactionAbortedError';
  }
}

/** Runs `work` in one transaction, once, and returns its result with the hooks that are due. */
export async function runTransaction<T>(
  knex: Knex,
  work: (transaction: Transaction) => Promise<T>,
  options: TransactionOptions,
): Promise<{ result: T; hooks: readonly (() => void)[] }> {
  const hooks: (() => void)[] = [];
  let failure: { cause: unknown } | undefined;
  const attempt = async (trx: Knex.Transaction): Promise<T> => {
    try {
      const limits = limitStatements(options);
      if (limits !== '') await trx.raw(limits);
      let hasFailedStatement = false;
      trx.on('query-error', () => {
        hasFailedStatement = true;
      });
      const value = await work({ knex: trx, onCommit: (hook) => void hooks.push(hook) });
      if (hasFailedStatement) await requireStanding(trx);
      return value;
    } catch (cause) {
      failure = { cause };
      throw cause;
    }
  };
  const config = { isolationLevel: options.isolation, readOnly: options.readOnly };
  try {
    return { result: await knex.transaction(attempt, config), hooks };
  } catch (error) {
    // knex reports a rollback that failed too instead of why it rolled back.
    throw failure === undefined ? error : failure.cause;
  }
}

/** Runs `work` inside a span of its own, which ends with it and carries its failure. */
export function inTransactionSpan<T>(
  attributes: { name?: string; schema: string },
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const tracer = trace.getTracer('@nexodus/database');
  const { name = 'transaction', schema } = attributes;
  const options = { attributes: { 'db.system.name': 'postgresql', 'db.namespace': schema } };
  return tracer.startActiveSpan(name, options, async (span) => {
    try {
      return await work(span);
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
      if (typeof code === 'string') span.setAttribute('db.response.status_code', code);
      throw error;
    } finally {
      span.end();
    }
  });
}

/**
 * PostgreSQL answers the COMMIT of an aborted transaction with a silent ROLLBACK, and knex reports success. So after a
 * statement failed and the work went on, one more statement asks whether the transaction still stands (it does when the
 * failure was inside a savepoint).
 */
async function requireStanding(trx: Knex.Transaction): Promise<void> {
  try {
    await trx.raw('SELECT 1');
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    throw code === IN_FAILED_TRANSACTION ? new TransactionAbortedError() : error;
  }
}

function limitStatements(options: TransactionOptions): string {
  const limits = [
    ['statement_timeout', options.statementTimeoutMs],
    ['lock_timeout', options.lockTimeoutMs],
  ] as const;
  return limits
    .flatMap(([name, valueMs]) =>
      valueMs === undefined ? [] : [`SET LOCAL ${name} = ${Math.ceil(valueMs)}`],
    )
    .join('; ');
}

/**
 * What must be said to ipam once a transaction stands.
 *
 * No RPC is made inside a transaction: it leaves a row here, and a worker says it afterwards, again and again until ipam
 * has answered. All of ipam's methods are idempotent, so saying a thing twice does no harm. Rows about one owner, or about
 * a pool as a whole, keep their order: a release never overtakes the confirmation before it. An order that ipam refuses as
 * such is put aside and holds up no other.
 */
import type { Clock } from '@nexodus/clock';
import type { Database, Transaction } from '@nexodus/database';
import type { Part } from '@nexodus/lifecycle';
import { isRpcError, Status } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { type Meter, metrics } from '@opentelemetry/api';
import { activeTraceparent, underTraceparent } from '../database/traceparent.ts';
import { encodeOrder, type IpamClient, type IpamOrder, sayOrder } from './ipam-orders.ts';

/** The outbox. */
export interface IpamOutbox {
  /** Leaves an order in the transaction; the worker is woken after the commit. */
  put(transaction: Transaction, order: IpamOrder): Promise<void>;
  /** The worker. */
  readonly part: Part;
}

/** How long a claimed row is left alone by other replicas, in seconds: longer than the call's deadline of 10 s. */
const claimSeconds = 30;

/** Longest pause between two looks at the outbox, in milliseconds: what another replica left behind is found then. */
const pollMs = 1_000;

/** What the worker works with. */
export interface IpamOutboxOptions {
  database: Database;
  ipam: IpamClient;
  clock: Clock;
  logger: Logger;
  /** Default: the process's. */
  meter?: Meter;
}

type Outcome = 'done' | 'postponed' | 'refused';

interface OutboxRow {
  id: bigint;
  kind: IpamOrder['kind'];
  request: Buffer;
  traceparent: string;
  attempts: number;
}

/** Makes the outbox. */
export function createIpamOutbox(options: IpamOutboxOptions): IpamOutbox {
  const { clock, logger } = options;
  const meter = options.meter ?? metrics.getMeter('@nexodus/apiserver');
  const orders = meter.createCounter('nexodus.ipam_outbox.orders', {
    description: 'Orders that were said to ipam, by kind and outcome; refused ones are put aside.',
  });
  const stopping = new AbortController();
  let wake = new AbortController();
  let running: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const woken = wake.signal;
      const worked = await workOnce(options).catch((error: unknown) => {
        logger.warn({ error }, 'ipam outbox cannot be read');
        return undefined;
      });
      if (worked !== undefined) {
        orders.add(1, worked);
        continue;
      }
      await clock.wait(pollMs, AbortSignal.any([woken, stopping.signal]));
      if (wake.signal.aborted) wake = new AbortController();
    }
  };
  return {
    put: async (transaction, order) => {
      await putIpamOrder(transaction, order);
      transaction.onCommit(() => wake.abort());
    },
    part: {
      name: 'ipam outbox',
      start: () => {
        running = work();
        return Promise.resolve();
      },
      stop: async () => {
        stopping.abort();
        await running;
      },
    },
  };
}

/** Leaves an order for the workers of running apiservers, which find it within a second of the commit. */
export async function putIpamOrder(transaction: Transaction, order: IpamOrder): Promise<void> {
  await transaction.knex('ipam_outbox').insert({
    pool_id: order.poolId,
    owner_id: 'ownerId' in order ? order.ownerId : null,
    kind: order.kind,
    request: Buffer.from(encodeOrder(order)),
    traceparent: activeTraceparent(),
  });
}

/** Says the first due order; undefined when there is none. */
async function workOnce(
  options: IpamOutboxOptions,
): Promise<{ kind: string; outcome: Outcome } | undefined> {
  const row = await claim(options.database);
  if (row === undefined) return undefined;
  const { knex } = options.database;
  // Another replica takes the row over when its claim ends: then it is no longer this one's to say or to change.
  const own = { id: row.id, attempts: row.attempts };
  const isOwn = async (): Promise<boolean> =>
    (await knex('ipam_outbox').where(own).first('id')) !== undefined;
  try {
    await underTraceparent(row.traceparent, () => sayOrder(options, row, isOwn));
    await knex('ipam_outbox').where(own).delete();
    return { kind: row.kind, outcome: 'done' };
  } catch (error) {
    const { outcome, change } = afterFailure(options, row, error);
    await knex('ipam_outbox').where(own).update(change);
    return { kind: row.kind, outcome };
  }
}

/** What becomes of an order that failed: said again later, or put aside when ipam will never take it. */
function afterFailure(
  { database: { knex }, logger }: IpamOutboxOptions,
  { kind, attempts }: OutboxRow,
  error: unknown,
): { outcome: Outcome; change: Record<string, unknown> } {
  const fields = { error, kind, attempts };
  if (isRpcError(error, Status.INVALID_ARGUMENT)) {
    logger.error(fields, 'ipam order was refused and put aside');
    return { outcome: 'refused', change: { failed_at: knex.fn.now() } };
  }
  const isOutage =
    isRpcError(error, Status.UNAVAILABLE) || isRpcError(error, Status.DEADLINE_EXCEEDED);
  logger[isOutage ? 'warn' : 'error'](fields, 'ipam order failed');
  const pauseSeconds = Math.min(60, 0.2 * 2 ** attempts);
  const runAfter = knex.raw("now() + ? * interval '1 second'", [pauseSeconds]);
  return { outcome: 'postponed', change: { run_after: runAfter } };
}

async function claim(database: Database): Promise<OutboxRow | undefined> {
  const { rows } = await database.knex.raw<{ rows: OutboxRow[] }>(
    `UPDATE ipam_outbox SET attempts = attempts + 1, run_after = now() + ? * interval '1 second'
      WHERE id = (
        SELECT o.id FROM ipam_outbox o
         WHERE o.run_after <= now() AND o.failed_at IS NULL
           AND NOT EXISTS (
             SELECT FROM ipam_outbox earlier
              WHERE earlier.pool_id = o.pool_id AND earlier.id < o.id AND earlier.failed_at IS NULL
                AND (earlier.owner_id IS NULL OR o.owner_id IS NULL OR earlier.owner_id = o.owner_id))
         ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING id, kind, request, traceparent, attempts`,
    [claimSeconds],
  );
  return rows[0];
}

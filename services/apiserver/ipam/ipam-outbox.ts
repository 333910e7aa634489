/**
 * What must be said to ipam once a transaction stands.
 *
 * No RPC is made inside a transaction: it leaves a row here, and a worker says it afterwards, again and again until ipam
 * has answered. All of ipam's methods are idempotent, so saying a thing twice does no harm. Rows about one owner, or about
 * a pool as a whole, keep their order: a release never overtakes the confirmation before it.
 */
import type { Clock } from '@nexodus/clock';
import {
  ConfirmAddressesRequest,
  CreatePoolRequest,
  DeletePoolRequest,
  type IpamServiceDefinition,
  ReleaseAddressesRequest,
  ReserveAddressesRequest,
} from '@nexodus/contracts/ipam';
import type { Database, Transaction } from '@nexodus/database';
import type { Part } from '@nexodus/lifecycle';
import { isRpcError, type RpcClient, Status } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { activeTraceparent, underTraceparent } from '../database/traceparent.ts';

/** ipam as the apiserver calls it. */
export type IpamClient = RpcClient<typeof IpamServiceDefinition>;

/** Something to say to ipam. */
export type IpamOrder =
  | { kind: 'create-pool'; poolId: string; ipv4Prefix: string; ipv6Prefix: string }
  | { kind: 'delete-pool'; poolId: string }
  | { kind: 'confirm'; poolId: string; ownerId: string; ipv4Address: string; ipv6Address: string }
  | { kind: 'release'; poolId: string; ownerId: string };

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

interface OutboxRow {
  id: bigint;
  kind: IpamOrder['kind'];
  request: Buffer;
  traceparent: string;
  attempts: number;
}

/** Makes the outbox. */
export function createIpamOutbox(options: {
  database: Database;
  ipam: IpamClient;
  clock: Clock;
  logger: Logger;
}): IpamOutbox {
  const { clock, logger } = options;
  const stopping = new AbortController();
  let wake = new AbortController();
  let running: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const woken = wake.signal;
      const worked = await workOnce(options).catch((error: unknown) => {
        logger.warn({ error }, 'ipam outbox cannot be read');
        return false;
      });
      if (worked) continue;
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

/** Says the first due order; false when there is none. */
async function workOnce(options: {
  database: Database;
  ipam: IpamClient;
  logger: Logger;
}): Promise<boolean> {
  const { database, ipam, logger } = options;
  const row = await claim(database);
  if (row === undefined) return false;
  try {
    await underTraceparent(row.traceparent, () => say(ipam, row));
    await database.knex('ipam_outbox').where({ id: row.id }).delete();
  } catch (error) {
    const pauseSeconds = Math.min(60, 0.2 * 2 ** row.attempts);
    const isOutage =
      isRpcError(error, Status.UNAVAILABLE) || isRpcError(error, Status.DEADLINE_EXCEEDED);
    logger[isOutage ? 'warn' : 'error'](
      { error, kind: row.kind, attempts: row.attempts },
      'ipam order failed',
    );
    await database
      .knex('ipam_outbox')
      .where({ id: row.id })
      .update({ run_after: database.knex.raw("now() + ? * interval '1 second'", [pauseSeconds]) });
  }
  return true;
}

async function claim(database: Database): Promise<OutboxRow | undefined> {
  const { rows } = await database.knex.raw<{ rows: OutboxRow[] }>(
    `UPDATE ipam_outbox SET attempts = attempts + 1, run_after = now() + ? * interval '1 second'
      WHERE id = (
        SELECT o.id FROM ipam_outbox o
         WHERE o.run_after <= now()
           AND NOT EXISTS (
             SELECT FROM ipam_outbox earlier
              WHERE earlier.pool_id = o.pool_id AND earlier.id < o.id
                AND (earlier.owner_id IS NULL OR o.owner_id IS NULL OR earlier.owner_id = o.owner_id))
         ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING id, kind, request, traceparent, attempts`,
    [claimSeconds],
  );
  return rows[0];
}

function encodeOrder(order: IpamOrder): Uint8Array {
  switch (order.kind) {
    case 'create-pool':
      return CreatePoolRequest.encode(order).finish();
    case 'delete-pool':
      return DeletePoolRequest.encode(order).finish();
    case 'confirm':
      return ReserveAddressesRequest.encode({ ...order, lease: undefined }).finish();
    case 'release':
      return ReleaseAddressesRequest.encode(order).finish();
  }
}

async function say(ipam: IpamClient, row: OutboxRow): Promise<void> {
  switch (row.kind) {
    case 'create-pool':
      await ipam.createPool(CreatePoolRequest.decode(row.request));
      return;
    case 'delete-pool':
      await ipam.deletePool(DeletePoolRequest.decode(row.request));
      return;
    case 'confirm':
      await confirm(ipam, ReserveAddressesRequest.decode(row.request));
      return;
    case 'release':
      await ipam.releaseAddresses(ReleaseAddressesRequest.decode(row.request));
  }
}

/** Confirms; when the lease has ended, reserves the very same addresses again first. */
async function confirm(ipam: IpamClient, reservation: ReserveAddressesRequest): Promise<void> {
  const wanted = ConfirmAddressesRequest.fromPartial(reservation);
  try {
    await ipam.confirmAddresses(wanted);
  } catch (error) {
    if (!isRpcError(error, Status.FAILED_PRECONDITION)) throw error;
    await ipam.reserveAddresses(reservation);
    await ipam.confirmAddresses(wanted);
  }
}

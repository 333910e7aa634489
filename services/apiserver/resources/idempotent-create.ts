import { createHash } from 'node:crypto';
import type { Transaction } from '@nexodus/database';
import { failedPrecondition, invalidArgument } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import { type Caller, callerId } from '../identity/caller.ts';

/** A create that may be repeated. */
export interface RepeatableCreate<T> {
  caller: Caller;
  /** Full name of the method. */
  method: string;
  /** The caller's request id; empty for none. */
  requestId: string;
  /** The encoded request: the same id with another request is refused. */
  request: Uint8Array;
  encode: (answer: T) => Uint8Array;
  decode: (bytes: Uint8Array) => T;
}

/**
 * Runs a create once for each request id and caller: a repetition within 24 h gets the first answer (AIP-155). Two at
 * once wait for each other by the row's uniqueness.
 *
 * @throws {RpcError} INVALID_ARGUMENT for an id that is no UUID, FAILED_PRECONDITION for an id that was used otherwise
 */
export async function createOnce<T>(
  transaction: Transaction,
  create: RepeatableCreate<T>,
  run: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const { knex } = transaction;
  const { requestId, method } = create;
  if (requestId === '') return run(transaction);
  if (!isUuid(requestId))
    throw invalidArgument([{ field: 'request_id', description: 'must be a UUID' }]);
  const key = { actor_id: callerId(create.caller), method, request_id: requestId };
  const requestHash = createHash('sha256').update(create.request).digest();
  const inserted = await knex('idempotent_answers')
    .insert({ ...key, request_hash: requestHash, response: Buffer.alloc(0) })
    .onConflict(['actor_id', 'method', 'request_id'])
    .ignore()
    .returning('request_id');
  if (inserted.length === 0) {
    const stored = await knex('idempotent_answers').where(key).first('request_hash', 'response');
    if (!requestHash.equals(stored.request_hash)) {
      throw failedPrecondition(
        'REQUEST_ID_REUSED',
        'this request_id was used for another request: choose a new one',
      );
    }
    return create.decode(stored.response);
  }
  const answer = await run(transaction);
  await knex('idempotent_answers')
    .where(key)
    .update({ response: Buffer.from(create.encode(answer)) });
  return answer;
}

import type { Transaction } from '@nexodus/database';
import { unauthenticated } from '@nexodus/rpc';
import type { RegistrationKeyRow } from '../resources/registration-key-service.ts';

/**
 * Uses the key once; its row stays locked, so that of N uses at once only as many win as it has left. The first lock of
 * its transaction: devices and VPCs are locked after registration keys.
 *
 * @throws {RpcError} UNAUTHENTICATED when the key was deleted or used up meanwhile
 */
export async function consumeRegistrationKey(
  { knex }: Transaction,
  { id }: RegistrationKeyRow,
): Promise<void> {
  const present = await knex<RegistrationKeyRow>('registration_keys')
    .where({ id })
    .forUpdate()
    .first();
  if (present === undefined || present.deleted_at !== null) {
    throw unauthenticated(
      'REGISTRATION_KEY_UNKNOWN',
      'this registration key was deleted: create another',
    );
  }
  refuseUsedUpKey(present);
  await knex('registration_keys').where({ id }).increment('uses');
}

/**
 * Refuses a key that has no use left.
 *
 * @throws {RpcError} REGISTRATION_KEY_USED
 */
export function refuseUsedUpKey(key: RegistrationKeyRow): void {
  if (key.max_uses === 0 || key.uses < key.max_uses) return;
  const times = key.max_uses === 1 ? 'once' : `${key.max_uses} times`;
  throw unauthenticated(
    'REGISTRATION_KEY_USED',
    `this registration key was good for use ${times}: create another`,
  );
}

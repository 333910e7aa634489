import type { EnrollRequest } from '@nexodus/contracts/agent';
import { failedPrecondition, RpcError, Status } from '@nexodus/rpc';
import type { Knex } from 'knex';
import type { DeviceRow } from '../resources/device-rows.ts';

/** The three keys of a device. */
export type EnrolledKeys = Pick<
  EnrollRequest,
  'devicePublicKey' | 'wireguardPublicKey' | 'discoPublicKey'
>;

/**
 * The device that was enrolled with exactly these keys, or undefined when nobody has any of them. Asked only after the
 * proofs of possession were checked.
 *
 * @throws {RpcError} KEY_DELETED, or KEY_TAKEN
 */
export async function findKeyHolder(
  knex: Knex,
  keys: EnrolledKeys,
): Promise<DeviceRow | undefined> {
  await refuseRetiredKeys(knex, keys);
  const holders = await knex<DeviceRow>('devices')
    .where({ device_public_key: keys.devicePublicKey })
    .orWhere({ wireguard_public_key: keys.wireguardPublicKey })
    .orWhere({ disco_public_key: keys.discoPublicKey });
  const stranger = holders.find(
    (holder) =>
      !holder.device_public_key.equals(keys.devicePublicKey) ||
      !holder.wireguard_public_key.equals(keys.wireguardPublicKey) ||
      !holder.disco_public_key.equals(keys.discoPublicKey),
  );
  if (stranger !== undefined) throw keyTaken();
  return holders[0];
}

/**
 * Refuses keys of deleted devices.
 *
 * @throws {RpcError} KEY_DELETED
 */
export async function refuseRetiredKeys(knex: Knex, keys: EnrolledKeys): Promise<void> {
  const retired = await knex('retired_keys')
    .whereIn('public_key', [keys.devicePublicKey, keys.wireguardPublicKey, keys.discoPublicKey])
    .first('public_key');
  if (retired !== undefined) throw keyDeleted();
}

/** The device of these keys was deleted. */
export function keyDeleted(): RpcError {
  return failedPrecondition(
    'KEY_DELETED',
    'a device with these keys was deleted: make new keys (nexd down --forget)',
  );
}

/** Somebody else has one of the keys. */
export function keyTaken(): RpcError {
  return new RpcError(
    Status.ALREADY_EXISTS,
    'one of these keys belongs to another device: make new keys',
    { reason: 'KEY_TAKEN' },
  );
}

import type { Transaction } from '@nexodus/database';
import type { Caller } from '../identity/caller.ts';
import type { ResourceDependencies } from './dependencies.ts';
import type { LockedDevice } from './device-rows.ts';

/** A device to be removed, and who removes it. */
export interface DeviceRemoval {
  locked: LockedDevice;
  actor: Caller;
}

/**
 * Removes a locked device: its row, its addresses (released after the commit), and its keys for ever. The last thing that
 * a transaction does, as it appends to the change log.
 */
export async function removeDevice(
  transaction: Transaction,
  { ipamOutbox, audit, changeLog }: ResourceDependencies,
  { locked: { row, image }, actor }: DeviceRemoval,
): Promise<void> {
  const { knex } = transaction;
  const { id, vpc_id: vpcId, organization_id: organizationId } = row;
  await knex('devices').where({ id }).delete();
  const keys = [row.device_public_key, row.wireguard_public_key, row.disco_public_key];
  await knex('retired_keys')
    .insert(keys.map((publicKey) => ({ public_key: publicKey })))
    .onConflict('public_key')
    .ignore();
  await ipamOutbox.put(transaction, { kind: 'release', poolId: vpcId, ownerId: id });
  await audit.done(transaction, actor, {
    action: 'device.delete',
    kind: 'device',
    id,
    organizationId,
  });
  await changeLog.append(transaction, vpcId, [{ before: image, after: undefined }]);
}

import type { Transaction } from '@nexodus/database';
import { deviceImage } from '../database/change-log.ts';
import type { ResourceDependencies } from '../resources/dependencies.ts';
import { type DeviceRow, groupsOfDevices, lockDevice } from '../resources/device-rows.ts';
import type { Admission } from './admission.ts';
import { keyDeleted, keyTaken } from './key-holder.ts';
import { endOfKeyLife } from './key-life.ts';
import { consumeRegistrationKey } from './use-registration-key.ts';

/**
 * Gives the device back to its holder with a new term. The registration key that it was enrolled with is not used again,
 * so a used-up key renews its own devices and no others.
 *
 * @throws {RpcError} KEY_TAKEN without the right to this device, KEY_DELETED when it was deleted meanwhile
 */
export function renewDevice(
  dependencies: ResourceDependencies,
  known: DeviceRow,
  admission: Admission,
): Promise<DeviceRow> {
  const { key, vpc, ownerUserId } = admission;
  const isEntitled =
    known.vpc_id === vpc.id && (key !== undefined || known.owner_user_id === ownerUserId);
  if (!isEntitled) throw keyTaken();
  return dependencies.database.transaction(
    async (transaction) => {
      if (key !== undefined && key.id !== known.registration_key_id)
        await consumeRegistrationKey(transaction, key);
      return extend(transaction, dependencies, { id: known.id, admission });
    },
    { name: 'renew device' },
  );
}

async function extend(
  transaction: Transaction,
  { audit, changeLog, clock }: ResourceDependencies,
  { id, admission }: { id: string; admission: Admission },
): Promise<DeviceRow> {
  const { knex } = transaction;
  const locked = await lockDevice(transaction, id);
  if (locked === undefined) throw keyDeleted();
  const [renewed] = await knex<DeviceRow>('devices')
    .where({ id })
    .update({ expires_at: endOfKeyLife(clock.now()), version: locked.row.version + 1 })
    .returning('*');
  if (renewed === undefined) throw keyDeleted();
  const { vpc_id: vpcId, organization_id: organizationId } = renewed;
  const act = { action: 'device.renew', kind: 'device', id, organizationId };
  await audit.done(transaction, admission.actor, act);
  const groups = await groupsOfDevices(knex, [id]);
  const after = deviceImage(renewed, groups.get(id) ?? []);
  await changeLog.append(transaction, vpcId, [{ before: locked.image, after }]);
  return renewed;
}

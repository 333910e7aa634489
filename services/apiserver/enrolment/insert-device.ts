import type { EnrollRequest } from '@nexodus/contracts/agent';
import type { Transaction } from '@nexodus/database';
import { failedPrecondition } from '@nexodus/rpc';
import { suffixedLabel, toLabel } from '../core/hostname.ts';
import { deviceImage } from '../database/change-log.ts';
import type { ResourceDependencies } from '../resources/dependencies.ts';
import type { DeviceRow } from '../resources/device-rows.ts';
import type { Admission } from './admission.ts';
import { refuseRetiredKeys } from './key-holder.ts';
import { endOfKeyLife } from './key-life.ts';
import type { LeasedAddresses } from './reserve-addresses.ts';
import { consumeRegistrationKey } from './use-registration-key.ts';

/** A device to be made. */
export interface NewDevice {
  deviceId: string;
  request: EnrollRequest;
  admission: Admission;
  addresses: LeasedAddresses;
}

/**
 * Makes the device, uses up its registration key and has its addresses confirmed. Locks, in this order: the registration
 * key, what the device's unique values wait for, and, by the change log, the VPC.
 *
 * @throws {RpcError} as AgentService.Enroll says, and the database's errors for what others took or deleted meanwhile
 */
export async function insertDevice(
  transaction: Transaction,
  dependencies: ResourceDependencies,
  device: NewDevice,
): Promise<DeviceRow> {
  const { deviceId, request, admission, addresses } = device;
  const { vpc, key } = admission;
  if (key !== undefined) await consumeRegistrationKey(transaction, key);
  const row = await insertWithFreeHostname(
    transaction,
    columnsOf(device, dependencies.clock.now()),
  );
  // The insertion may have waited for the end of a deletion that retired one of the keys.
  await refuseRetiredKeys(transaction.knex, request);
  const groupIds = await joinGroups(transaction, row, key?.security_group_ids ?? []);
  await dependencies.ipamOutbox.put(transaction, {
    kind: 'confirm',
    poolId: vpc.id,
    ownerId: deviceId,
    ...addresses,
  });
  await dependencies.audit.done(transaction, admission.actor, {
    action: 'device.enroll',
    kind: 'device',
    id: deviceId,
    organizationId: vpc.organization_id,
  });
  await dependencies.changeLog.append(transaction, vpc.id, [
    { before: undefined, after: deviceImage(row, groupIds) },
  ]);
  return row;
}

type DeviceColumns = Partial<DeviceRow> & Pick<DeviceRow, 'vpc_id' | 'hostname'>;

function columnsOf(
  { deviceId, request, admission, addresses }: NewDevice,
  nowMs: number,
): DeviceColumns {
  const { vpc, key, ownerUserId } = admission;
  return {
    id: deviceId,
    organization_id: vpc.organization_id,
    vpc_id: vpc.id,
    hostname: toLabel(request.hostname),
    os: request.os.slice(0, 32),
    device_public_key: request.devicePublicKey,
    wireguard_public_key: request.wireguardPublicKey,
    disco_public_key: request.discoPublicKey,
    ipv4_address: addresses.ipv4Address,
    ipv6_address: addresses.ipv6Address,
    tags: key?.tags ?? [],
    owner_user_id: ownerUserId,
    registration_key_id: key?.id ?? null,
    ephemeral: key?.ephemeral ?? false,
    expires_at: endOfKeyLife(nowMs),
  };
}

/** Inserts under the wished hostname, or the first of it that is free; who takes one meanwhile is waited for. */
async function insertWithFreeHostname(
  { knex }: Transaction,
  wished: DeviceColumns,
): Promise<DeviceRow> {
  for (;;) {
    const hostname = await freeHostname({ knex }, wished.vpc_id, wished.hostname);
    const [row] = await knex<DeviceRow>('devices')
      .insert({ ...wished, hostname })
      .onConflict(['vpc_id', 'hostname'])
      .ignore()
      .returning('*');
    if (row !== undefined) return row;
  }
}

/** The label, or the first of label-2, label-3 ... that nobody has. */
async function freeHostname(
  { knex }: Pick<Transaction, 'knex'>,
  vpcId: string,
  label: string,
): Promise<string> {
  const rows: { hostname: string }[] = await knex('devices')
    .where({ vpc_id: vpcId })
    .where('hostname', 'like', `${label.slice(0, 40)}%`)
    .select('hostname');
  const taken = new Set(rows.map((row) => row.hostname));
  if (!taken.has(label)) return label;
  for (let n = 2; ; n += 1) {
    const candidate = suffixedLabel(label, String(n));
    if (!taken.has(candidate)) return candidate;
  }
}

/** Puts the device into those of the wanted groups that still exist, or the VPC's default group; returns their ids. */
async function joinGroups(
  { knex }: Transaction,
  { id: deviceId, vpc_id: vpcId }: DeviceRow,
  wanted: readonly string[],
): Promise<string[]> {
  const query = knex('security_groups').where({ vpc_id: vpcId }).orderBy('id').select('id');
  const groups: { id: string }[] = await (wanted.length === 0
    ? query.where({ is_default: true })
    : query.whereIn('id', [...wanted]));
  if (groups.length === 0) {
    throw failedPrecondition(
      'SECURITY_GROUPS_GONE',
      'the security groups of this registration key were deleted',
    );
  }
  await knex('device_security_groups').insert(
    groups.map(({ id }) => ({ vpc_id: vpcId, device_id: deviceId, security_group_id: id })),
  );
  return groups.map((group) => group.id);
}

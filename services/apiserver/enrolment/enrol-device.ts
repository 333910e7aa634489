import type { EnrollRequest, EnrollResponse } from '@nexodus/contracts/agent';
import { isUnavailable, isUniqueViolation, type Transaction } from '@nexodus/database';
import { failedPrecondition, isRpcError, RpcError, Status, unauthenticated } from '@nexodus/rpc';
import { suffixedLabel, toLabel } from '../core/hostname.ts';
import { deviceImage } from '../database/change-log.ts';
import type { IpamClient } from '../ipam/ipam-outbox.ts';
import type { ResourceDependencies } from '../resources/dependencies.ts';
import type { DeviceRow } from '../resources/device-rows.ts';
import type { RegistrationKeyRow } from '../resources/registration-key-service.ts';
import type { Admission } from './admission.ts';

/** Life of a device key, in milliseconds (protocol.md: 180 days). */
const deviceKeyLifeMs = 180 * 86_400_000;

/** What enrolling works with. */
export type EnrolmentDependencies = ResourceDependencies & { ipam: IpamClient };

/**
 * Makes the device, or gives back the one that its holder enrolled before.
 *
 * Addresses are reserved before the transaction and confirmed after it; a reservation that no device came of ends with
 * its lease.
 */
export async function enrolDevice(
  dependencies: EnrolmentDependencies,
  request: EnrollRequest,
  admission: Admission,
): Promise<EnrollResponse> {
  await refuseRetiredKeys(dependencies, request);
  const known = await findByDeviceKey(dependencies, request);
  if (known !== undefined) return enrolAgain(dependencies, known, { request, admission });
  refuseUsedUpKey(admission.key);
  const deviceId = await freshId(dependencies);
  const poolId = admission.vpc.id;
  const addresses = await reserve(dependencies, admission, deviceId);
  try {
    const row = await dependencies.database.transaction(
      (transaction) =>
        insertDevice(transaction, dependencies, { deviceId, request, admission, addresses }),
      { name: 'enrol device' },
    );
    return answer(row, admission);
  } catch (error) {
    // The device may be there although its commit was not heard of: then its addresses stay, else they end with the lease.
    if (isUnavailable(error)) throw error;
    await dependencies.ipam.releaseAddresses({ poolId, ownerId: deviceId }).catch(() => {});
    if (!isUniqueViolation(error)) throw error;
    const raced = await findByDeviceKey(dependencies, request);
    if (raced !== undefined) return enrolAgain(dependencies, raced, { request, admission });
    throw keyTaken();
  }
}

async function refuseRetiredKeys(
  { database }: EnrolmentDependencies,
  request: EnrollRequest,
): Promise<void> {
  const keys = [request.devicePublicKey, request.wireguardPublicKey, request.discoPublicKey];
  const retired = await database
    .knex('retired_keys')
    .whereIn('public_key', keys)
    .first('public_key');
  if (retired === undefined) return;
  throw failedPrecondition(
    'KEY_DELETED',
    'a device with these keys was deleted: make new keys (nexd down --forget)',
  );
}

function findByDeviceKey(
  { database }: EnrolmentDependencies,
  request: EnrollRequest,
): Promise<DeviceRow | undefined> {
  return database
    .knex<DeviceRow>('devices')
    .where({ device_public_key: request.devicePublicKey })
    .first();
}

/** The same device for its holder, with a new term; the key's use is not counted again. */
async function enrolAgain(
  { database, clock, audit }: EnrolmentDependencies,
  known: DeviceRow,
  { request, admission }: { request: EnrollRequest; admission: Admission },
): Promise<EnrollResponse> {
  const isSame =
    known.wireguard_public_key.equals(request.wireguardPublicKey) &&
    known.disco_public_key.equals(request.discoPublicKey);
  const isEntitled =
    known.vpc_id === admission.vpc.id &&
    (admission.key === undefined ? known.owner_user_id === admission.ownerUserId : true);
  if (!isSame || !isEntitled) throw keyTaken();
  const row = await database.transaction(
    async (transaction) => {
      const [renewed] = await transaction
        .knex<DeviceRow>('devices')
        .where({ id: known.id })
        .update({ expires_at: new Date(clock.now() + deviceKeyLifeMs) })
        .returning('*');
      const organizationId = known.organization_id;
      await audit.done(transaction, admission.actor, {
        action: 'device.renew',
        kind: 'device',
        id: known.id,
        organizationId,
      });
      return renewed;
    },
    { name: 'renew device' },
  );
  return answer(row ?? known, admission);
}

function keyTaken(): RpcError {
  return new RpcError(
    Status.ALREADY_EXISTS,
    'one of these keys belongs to another device: make new keys',
    {
      reason: 'KEY_TAKEN',
    },
  );
}

function refuseUsedUpKey(key: RegistrationKeyRow | undefined): void {
  if (key === undefined || key.max_uses === 0 || key.uses < key.max_uses) return;
  const times = key.max_uses === 1 ? 'once' : `${key.max_uses} times`;
  throw unauthenticated(
    'REGISTRATION_KEY_USED',
    `this registration key was good for use ${times}: create another`,
  );
}

async function freshId({ database }: EnrolmentDependencies): Promise<string> {
  const { rows } = await database.knex.raw<{ rows: { id: string }[] }>('SELECT uuidv7() AS id');
  const id = rows[0]?.id;
  if (id === undefined) throw new Error('PostgreSQL made no uuidv7');
  return id;
}

interface Addresses {
  ipv4Address: string;
  ipv6Address: string;
}

async function reserve(
  { ipam }: EnrolmentDependencies,
  { vpc }: Admission,
  ownerId: string,
): Promise<Addresses> {
  const wanted = { poolId: vpc.id, ownerId };
  try {
    return await ipam.reserveAddresses(wanted);
  } catch (error) {
    if (!isRpcError(error, Status.NOT_FOUND)) throw error;
    // The VPC is so new that its pool's order is still in the outbox.
    await ipam.createPool({
      poolId: vpc.id,
      ipv4Prefix: vpc.ipv4_prefix,
      ipv6Prefix: vpc.ipv6_prefix,
    });
    return ipam.reserveAddresses(wanted);
  }
}

interface NewDevice {
  deviceId: string;
  request: EnrollRequest;
  admission: Admission;
  addresses: Addresses;
}

async function insertDevice(
  transaction: Transaction,
  dependencies: EnrolmentDependencies,
  { deviceId, request, admission, addresses }: NewDevice,
): Promise<DeviceRow> {
  const { knex } = transaction;
  const { vpc, key } = admission;
  await consume(transaction, key);
  const [row] = await knex<DeviceRow>('devices')
    .insert({
      id: deviceId,
      organization_id: vpc.organization_id,
      vpc_id: vpc.id,
      hostname: await freeHostname(transaction, vpc.id, toLabel(request.hostname)),
      os: request.os.slice(0, 32),
      device_public_key: request.devicePublicKey,
      wireguard_public_key: request.wireguardPublicKey,
      disco_public_key: request.discoPublicKey,
      ipv4_address: addresses.ipv4Address,
      ipv6_address: addresses.ipv6Address,
      tags: key?.tags ?? [],
      owner_user_id: admission.ownerUserId,
      registration_key_id: key?.id ?? null,
      ephemeral: key?.ephemeral ?? false,
      expires_at: new Date(dependencies.clock.now() + deviceKeyLifeMs),
    })
    .returning('*');
  if (row === undefined) throw new Error('PostgreSQL returned no row for an insert');
  const groupIds = await groupsFor(transaction, vpc.id, key?.security_group_ids ?? []);
  await knex('device_security_groups').insert(
    groupIds.map((groupId) => ({
      vpc_id: vpc.id,
      device_id: deviceId,
      security_group_id: groupId,
    })),
  );
  await dependencies.ipamOutbox.put(transaction, {
    kind: 'confirm',
    poolId: vpc.id,
    ownerId: deviceId,
    ...addresses,
  });
  const act = {
    action: 'device.enroll',
    kind: 'device',
    id: deviceId,
    organizationId: vpc.organization_id,
  };
  await dependencies.audit.done(transaction, admission.actor, act);
  await dependencies.changeLog.append(transaction, vpc.id, [
    { before: undefined, after: deviceImage(row, groupIds) },
  ]);
  return row;
}

/** Uses the key once; its row stays locked, so that of N uses at once only as many win as it has left. */
async function consume({ knex }: Transaction, key: RegistrationKeyRow | undefined): Promise<void> {
  if (key === undefined) return;
  const present = await knex<RegistrationKeyRow>('registration_keys')
    .where({ id: key.id })
    .forUpdate()
    .first();
  if (present === undefined || present.deleted_at !== null) {
    throw unauthenticated(
      'REGISTRATION_KEY_UNKNOWN',
      'this registration key was deleted: create another',
    );
  }
  refuseUsedUpKey(present);
  await knex('registration_keys').where({ id: key.id }).increment('uses');
}

/** The key's groups that still exist, or the VPC's default group. */
async function groupsFor(
  { knex }: Transaction,
  vpcId: string,
  wanted: readonly string[],
): Promise<string[]> {
  const query = knex('security_groups').where({ vpc_id: vpcId }).orderBy('id').select('id');
  const rows: { id: string }[] = await (wanted.length === 0
    ? query.where({ is_default: true })
    : query.whereIn('id', [...wanted]));
  if (rows.length === 0) {
    throw failedPrecondition(
      'SECURITY_GROUPS_GONE',
      'the security groups of this registration key were deleted',
    );
  }
  return rows.map((row) => row.id);
}

/** The label, or the first of label-2, label-3 ... that is free. The VPC's row is locked against a second taker. */
async function freeHostname({ knex }: Transaction, vpcId: string, label: string): Promise<string> {
  await knex('vpcs').where({ id: vpcId }).forUpdate().first('id');
  const rows: { hostname: string }[] = await knex('devices')
    .where({ vpc_id: vpcId })
    .where('hostname', 'like', `${label.slice(0, 40).replaceAll('_', '')}%`)
    .select('hostname');
  const taken = new Set(rows.map((row) => row.hostname));
  if (!taken.has(label)) return label;
  for (let n = 2; ; n += 1) {
    const candidate = suffixedLabel(label, n);
    if (!taken.has(candidate)) return candidate;
  }
}

function answer(row: DeviceRow, { vpc }: Admission): EnrollResponse {
  return {
    deviceId: row.id,
    vpcId: row.vpc_id,
    vpcName: vpc.name,
    organizationId: row.organization_id,
    hostname: row.hostname,
    ipv4Address: row.ipv4_address,
    ipv6Address: row.ipv6_address,
    expireTime: row.expires_at,
    bindingSerial: row.binding_serial,
  };
}

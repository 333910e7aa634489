import type { EnrollRequest, EnrollResponse } from '@nexodus/contracts/agent';
import { isForeignKeyViolation, isUnavailable, isUniqueViolation } from '@nexodus/database';
import { notFound } from '@nexodus/rpc';
import type { IpamClient } from '../ipam/ipam-orders.ts';
import type { ResourceDependencies } from '../resources/dependencies.ts';
import type { DeviceRow } from '../resources/device-rows.ts';
import type { Admission } from './admission.ts';
import { insertDevice } from './insert-device.ts';
import { findKeyHolder } from './key-holder.ts';
import { renewDevice } from './renew-device.ts';
import { addressesUnavailable, reserveAddresses } from './reserve-addresses.ts';
import { refuseUsedUpKey } from './use-registration-key.ts';

/** What enrolling works with. */
export type EnrolmentDependencies = ResourceDependencies & { ipam: IpamClient };

/** How often a device is begun anew because somebody else was first with one of its unique values. */
const maxAttempts = 3;

/**
 * Makes the device, or gives back the one that its holder enrolled before.
 *
 * Addresses are reserved before the transaction and confirmed after it; a reservation that no device came of ends with
 * its lease. Who has one of the keys already is found before anything is reserved, so that refusals cost no addresses.
 *
 * @throws {RpcError} as AgentService.Enroll says
 */
export async function enrolDevice(
  dependencies: EnrolmentDependencies,
  request: EnrollRequest,
  admission: Admission,
): Promise<EnrollResponse> {
  for (let attempt = 1; ; attempt += 1) {
    const known = await findKeyHolder(dependencies.database.knex, request);
    if (known !== undefined)
      return answer(await renewDevice(dependencies, known, admission), admission);
    if (admission.key !== undefined) refuseUsedUpKey(admission.key);
    try {
      return answer(await makeDevice(dependencies, request, admission), admission);
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      // One of the keys was enrolled meanwhile: its holder is found now. Or ipam gave an address that a device has.
      if (attempt >= maxAttempts) throw addressesUnavailable(error);
    }
  }
}

async function makeDevice(
  dependencies: EnrolmentDependencies,
  request: EnrollRequest,
  admission: Admission,
): Promise<DeviceRow> {
  const { database, ipam } = dependencies;
  const poolId = admission.vpc.id;
  const deviceId = await freshId(dependencies);
  const addresses = await reserveAddresses(dependencies, poolId, deviceId);
  try {
    return await database.transaction(
      (transaction) =>
        insertDevice(transaction, dependencies, { deviceId, request, admission, addresses }),
      { name: 'enrol device' },
    );
  } catch (error) {
    // The device may be there although its commit was not heard of: then its addresses stay, else they end with the lease.
    if (isUnavailable(error)) throw error;
    await ipam.releaseAddresses({ poolId, ownerId: deviceId }).catch(() => {});
    if (isForeignKeyViolation(error, 'devices_vpc_id_fkey')) throw notFound('vpc', poolId);
    throw error;
  }
}

async function freshId({ database }: EnrolmentDependencies): Promise<string> {
  const { rows } = await database.knex.raw<{ rows: { id: string }[] }>('SELECT uuidv7() AS id');
  const id = rows[0]?.id;
  if (id === undefined) throw new Error('PostgreSQL made no uuidv7');
  return id;
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

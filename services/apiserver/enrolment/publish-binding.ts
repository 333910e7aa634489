import { PeerBinding } from '@nexodus/contracts/type';
import { parseDevicePublicKey, verifyBinding } from '@nexodus/device-identity';
import { failedPrecondition, invalidArgument, notFound } from '@nexodus/rpc';
import { discoPublicKeyFromBytes, wireGuardPublicKeyFromBytes } from '@nexodus/wireguard';
import { deviceImage } from '../database/change-log.ts';
import type { ResourceDependencies } from '../resources/dependencies.ts';
import { type DeviceRow, groupsOfDevices, lockDevice } from '../resources/device-rows.ts';

/** Highest serial that is taken: what a bigint column holds. */
const highestSerial = 2n ** 63n - 1n;

/**
 * Stores a device's binding and makes it part of the VPC's log: peers see the device from then on.
 *
 * @throws {RpcError} as AgentService.PublishBinding says
 */
export async function publishBinding(
  dependencies: ResourceDependencies,
  deviceId: string,
  binding: PeerBinding | undefined,
): Promise<bigint> {
  if (binding === undefined)
    throw invalidArgument([{ field: 'binding', description: 'is missing' }]);
  const encoded = Buffer.from(PeerBinding.encode(binding).finish());
  return dependencies.database.transaction(
    async (transaction) => {
      const locked = await lockDevice(transaction, deviceId);
      if (locked === undefined) throw notFound('device', deviceId);
      const { row, image } = locked;
      check(row, binding, new Date(dependencies.clock.now()));
      if (row.binding?.equals(encoded) === true)
        return presentRevision(transaction.knex, row.vpc_id);
      if (binding.serial <= row.binding_serial) {
        throw failedPrecondition(
          'SERIAL_TOO_LOW',
          `the serial must be above ${row.binding_serial}`,
          {
            serial: String(row.binding_serial),
          },
        );
      }
      const [changed] = await transaction
        .knex<DeviceRow>('devices')
        .where({ id: deviceId })
        .update({
          binding: encoded,
          binding_serial: binding.serial,
          version: row.version + 1,
        })
        .returning('*');
      if (changed === undefined) throw notFound('device', deviceId);
      const groups = await groupsOfDevices(transaction.knex, [deviceId]);
      const after = deviceImage(changed, groups.get(deviceId) ?? []);
      return dependencies.changeLog.append(transaction, row.vpc_id, [{ before: image, after }]);
    },
    { name: 'publish binding' },
  );
}

async function presentRevision(
  knex: ResourceDependencies['database']['knex'],
  vpcId: string,
): Promise<bigint> {
  const row = await knex('vpcs').where({ id: vpcId }).first('revision');
  return row.revision;
}

/** The binding must say what the service knows of the device, and be signed by its key. */
function check(row: DeviceRow, binding: PeerBinding, now: Date): void {
  const refuse = (field: string, description: string): never => {
    throw invalidArgument([{ field: `binding.${field}`, description }]);
  };
  if (binding.serial > highestSerial) refuse('serial', `must not be above ${highestSerial}`);
  if (binding.deviceId !== row.id) refuse('device_id', 'is not this device');
  if (binding.vpcId !== row.vpc_id) refuse('vpc_id', 'is not the VPC that this device is in');
  if (!row.wireguard_public_key.equals(binding.wireguardPublicKey)) {
    refuse('wireguard_public_key', 'is not the key that this device enrolled');
  }
  if (!row.disco_public_key.equals(binding.discoPublicKey)) {
    refuse('disco_public_key', 'is not the key that this device enrolled');
  }
  const verdict = verifyBinding(
    {
      deviceId: binding.deviceId,
      vpcId: binding.vpcId,
      wireGuardKey: wireGuardPublicKeyFromBytes(row.wireguard_public_key),
      discoKey: discoPublicKeyFromBytes(row.disco_public_key),
      serial: binding.serial,
      notAfterSeconds: Number(binding.notAfter),
      signature: binding.signature,
    },
    parseDevicePublicKey(row.device_public_key),
    now,
  );
  if (!verdict.ok) refuse('signature', `does not verify: ${verdict.reason}`);
}

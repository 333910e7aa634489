import type { Device, DeviceServiceImplementation } from '@nexodus/contracts/api';
import { ed25519Thumbprint, parseDevicePublicKey } from '@nexodus/device-identity';
import { notFound } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import type { Caller } from '../identity/caller.ts';
import type { ResourceDependencies } from './dependencies.ts';
import { type DeviceRow, groupsOfDevices, lockDevice } from './device-rows.ts';
import { removeDevice } from './remove-device.ts';
import { etagOf, requireEtag } from './etag.ts';
import { cutPage, parsePage } from './page.ts';

/** What is known of a device without asking the database. */
export interface DevicePresence {
  /** Whether the device has a stream to any replica. */
  isOnline(vpcId: string, deviceId: string): boolean;
}

/** What the handlers of devices work with. */
export type DeviceDependencies = ResourceDependencies & { presence: DevicePresence };

/** Handlers of nexodus.api.v1.DeviceService. */
export function createDeviceService(
  dependencies: DeviceDependencies,
): DeviceServiceImplementation<{ identity: Caller }> {
  const { database, authorizer } = dependencies;
  return {
    getDevice: async ({ id }, { identity }) => {
      const row = await readDevice(dependencies, identity, id);
      const [device] = await devicesOnWire(dependencies, [row]);
      return { device };
    },
    listDevices: async (request, { identity }) => {
      const page = parsePage(request);
      const allowed = await authorizer.organizationsFor(identity, 'device.read', 'device');
      const wanted =
        request.organizationId === ''
          ? allowed
          : allowed.filter((id) => id === request.organizationId);
      const query = database
        .knex<DeviceRow>('devices')
        .whereIn('organization_id', wanted)
        .orderBy('id');
      if (request.vpcId !== '')
        void query.where('vpc_id', isUuid(request.vpcId) ? request.vpcId : null);
      if (page.after !== undefined) void query.where('id', '>', page.after);
      const { rows, nextPageToken } = cutPage(await query.limit(page.limit + 1), page);
      return { devices: await devicesOnWire(dependencies, rows), nextPageToken };
    },
    deleteDevice: (request, { identity }) => deleteDevice(dependencies, request, identity),
  };
}

async function readDevice(
  { database, authorizer }: DeviceDependencies,
  caller: Caller,
  id: string,
): Promise<DeviceRow> {
  const row = isUuid(id)
    ? await database.knex<DeviceRow>('devices').where({ id }).first()
    : undefined;
  if (row === undefined) throw notFound('device', id);
  await authorizer.require(caller, 'device.read', protectedDevice(row));
  return row;
}

function protectedDevice(row: DeviceRow): {
  kind: string;
  id: string;
  organizationId: string;
  ownerUserId?: string;
} {
  return {
    kind: 'device',
    id: row.id,
    organizationId: row.organization_id,
    ownerUserId: row.owner_user_id ?? undefined,
  };
}

async function deleteDevice(
  dependencies: DeviceDependencies,
  { id, etag }: { id: string; etag: string },
  caller: Caller,
): Promise<Record<string, never>> {
  const seen = await readDevice(dependencies, caller, id);
  await dependencies.authorizer.require(caller, 'device.delete', protectedDevice(seen));
  await dependencies.database.transaction(
    async (transaction) => {
      const locked = await lockDevice(transaction, id);
      if (locked === undefined) throw notFound('device', id);
      requireEtag(etag, deviceEtag(locked.row), 'device');
      await removeDevice(transaction, dependencies, { locked, actor: caller });
    },
    { name: 'delete device' },
  );
  return {};
}

function deviceEtag(row: DeviceRow): string {
  return etagOf(row.id, String(row.version));
}

async function devicesOnWire(
  { database, presence }: DeviceDependencies,
  rows: readonly DeviceRow[],
): Promise<Device[]> {
  const groups = await groupsOfDevices(
    database.knex,
    rows.map((row) => row.id),
  );
  return rows.map((row) => ({
    id: row.id,
    organizationId: row.organization_id,
    vpcId: row.vpc_id,
    hostname: row.hostname,
    os: row.os,
    wireguardPublicKey: row.wireguard_public_key.toString('base64'),
    deviceKeyThumbprint: ed25519Thumbprint(parseDevicePublicKey(row.device_public_key)),
    ipv4Address: row.ipv4_address,
    ipv6Address: row.ipv6_address,
    securityGroupIds: groups.get(row.id) ?? [],
    tags: row.tags,
    ownerUserId: row.owner_user_id ?? '',
    registrationKeyId: row.registration_key_id ?? '',
    online: presence.isOnline(row.vpc_id, row.id),
    lastSeenTime: row.last_seen_at ?? undefined,
    appliedRevision: row.applied_revision,
    expireTime: row.expires_at,
    ephemeral: row.ephemeral,
    etag: deviceEtag(row),
    createTime: row.created_at,
  }));
}

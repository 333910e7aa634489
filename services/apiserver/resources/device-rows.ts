import type { Transaction } from '@nexodus/database';
import type { Knex } from 'knex';
import { deviceImage } from '../database/change-log.ts';
import type { ResourceImage } from '@nexodus/contracts/event';

/** A device as stored. */
export interface DeviceRow {
  id: string;
  organization_id: string;
  vpc_id: string;
  hostname: string;
  os: string;
  device_public_key: Buffer;
  wireguard_public_key: Buffer;
  disco_public_key: Buffer;
  ipv4_address: string;
  ipv6_address: string;
  tags: string[];
  owner_user_id: string | null;
  registration_key_id: string | null;
  ephemeral: boolean;
  binding: Buffer | null;
  binding_serial: bigint;
  session_epoch: bigint;
  applied_revision: bigint;
  last_seen_at: Date | null;
  expires_at: Date;
  version: number;
  created_at: Date;
}

/** Security groups of devices, by device id, in order of id. */
export async function groupsOfDevices(
  knex: Knex,
  deviceIds: readonly string[],
): Promise<Map<string, string[]>> {
  const rows: { device_id: string; security_group_id: string }[] = await knex(
    'device_security_groups',
  )
    .whereIn('device_id', [...deviceIds])
    .orderBy(['device_id', 'security_group_id'])
    .select('device_id', 'security_group_id');
  const groups = new Map<string, string[]>();
  for (const row of rows)
    groups.set(row.device_id, [...(groups.get(row.device_id) ?? []), row.security_group_id]);
  return groups;
}

/** A device's row with its image in the change log. */
export interface LockedDevice {
  row: DeviceRow;
  image: ResourceImage;
}

/** The device's row, locked until the transaction ends, with its image in the change log. */
export async function lockDevice(
  { knex }: Transaction,
  id: string,
): Promise<LockedDevice | undefined> {
  const row = await knex<DeviceRow>('devices').where({ id }).forUpdate().first();
  if (row === undefined) return undefined;
  const groups = await groupsOfDevices(knex, [id]);
  return { row, image: deviceImage(row, groups.get(id) ?? []) };
}

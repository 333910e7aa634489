/**
 * The change log of VPCs: PostgreSQL is the letterbox, the bus is the doorbell.
 *
 * A change commits its rows, its audit record and one row here in one transaction. The revision is taken by locking the
 * VPC's row, last in the transaction, so that commit order is revision order, without gaps, for each VPC. Readers follow
 * from a cursor of their own; a lost doorbell costs them a poll, never an update.
 */
import {
  ResourceImage,
  type ResourceChange,
  SecurityGroupImage,
  VpcAdvanced,
  VpcChange,
  type VpcSnapshot,
} from '@nexodus/contracts/event';
import { PeerBinding } from '@nexodus/contracts/type';
import type { Database, Transaction } from '@nexodus/database';
import type { MessageBus } from '@nexodus/messaging';
import { activeTraceparent } from './traceparent.ts';

/** Where a VPC's log stands. */
export interface LogHead {
  vpcId: string;
  revision: bigint;
  /** Changes when the log was restored or may have lost its end. */
  logIncarnation: string;
}

/** One change with the trace that made it. */
export interface LoggedChange {
  change: VpcChange;
  /** W3C trace context, or empty. */
  traceparent: string;
}

/** The log of all VPCs. */
export interface ChangeLog {
  /**
   * Appends a change and returns its revision; rings the doorbell after the commit. The last statement of its
   * transaction: it locks the VPC's row. Several VPCs in one transaction are appended in order of their ids.
   */
  append(
    transaction: Transaction,
    vpcId: string,
    changes: readonly ResourceChange[],
  ): Promise<bigint>;
  /** The heads of all VPCs, in one query. */
  heads(): Promise<LogHead[]>;
  /** Changes after a revision, oldest first, at most `limit`. */
  read(vpcId: string, after: bigint, limit: number): Promise<LoggedChange[]>;
  /** Rows and revision of one moment (REPEATABLE READ); undefined when there is no such VPC. */
  snapshot(vpcId: string): Promise<VpcSnapshot | undefined>;
}

/** Subject of the doorbell of a VPC. */
export function vpcAdvancedSubject(vpcId: string): string {
  return `nexodus.vpc.${vpcId}.advanced`;
}

/** Makes the log on the apiserver's schema. */
export function createChangeLog(database: Database, bus: Pick<MessageBus, 'publish'>): ChangeLog {
  return {
    append: async (transaction, vpcId, changes) => {
      const { knex } = transaction;
      const [row] = await knex<VpcRow>('vpcs')
        .where({ id: vpcId })
        .increment('revision')
        .returning('revision');
      if (row === undefined) throw new Error(`no VPC ${vpcId} to log a change of`);
      const revision = row.revision;
      const change = VpcChange.encode({ vpcId, revision, changes: [...changes] }).finish();
      await knex('vpc_changes').insert({
        vpc_id: vpcId,
        revision,
        change: Buffer.from(change),
        traceparent: activeTraceparent(),
      });
      const bell = VpcAdvanced.encode({ vpcId, revision }).finish();
      transaction.onCommit(() => bus.publish(vpcAdvancedSubject(vpcId), bell));
      return revision;
    },
    heads: async () => {
      const rows = await database.knex<VpcRow>('vpcs').select('id', 'revision', 'log_incarnation');
      return rows.map((row) => ({
        vpcId: row.id,
        revision: row.revision,
        logIncarnation: row.log_incarnation,
      }));
    },
    read: async (vpcId, after, limit) => {
      const rows = await database
        .knex<ChangeRow>('vpc_changes')
        .where({ vpc_id: vpcId })
        .where('revision', '>', after)
        .orderBy('revision')
        .limit(limit)
        .select('change', 'traceparent');
      return rows.map((row) => ({
        change: VpcChange.decode(row.change),
        traceparent: row.traceparent,
      }));
    },
    snapshot: (vpcId) => readSnapshot(database, vpcId),
  };
}

interface VpcRow {
  id: string;
  organization_id: string;
  name: string;
  revision: bigint;
  log_incarnation: string;
}

interface ChangeRow {
  vpc_id: string;
  revision: bigint;
  change: Buffer;
  traceparent: string;
}

interface InVpc {
  vpc_id: string;
}

interface DeviceGroupRow extends InVpc {
  device_id: string;
  security_group_id: string;
}

function readSnapshot(database: Database, vpcId: string): Promise<VpcSnapshot | undefined> {
  return database.transaction(
    async ({ knex }) => {
      const vpc = await knex<VpcRow>('vpcs').where({ id: vpcId }).first();
      if (vpc === undefined) return undefined;
      const groups = await knex<SecurityGroupRow & InVpc>('security_groups').where({
        vpc_id: vpcId,
      });
      const devices = await knex<DeviceImageRow & InVpc>('devices').where({ vpc_id: vpcId });
      const memberships = await knex<DeviceGroupRow>('device_security_groups')
        .where({ vpc_id: vpcId })
        .orderBy(['device_id', 'security_group_id'])
        .select('device_id', 'security_group_id');
      const groupsOf = Map.groupBy(memberships, (membership) => membership.device_id);
      return {
        vpcId,
        logIncarnation: vpc.log_incarnation,
        revision: vpc.revision,
        resources: [
          vpcImage({ id: vpc.id, organizationId: vpc.organization_id, name: vpc.name }),
          ...groups.map(securityGroupImage),
          ...devices.map((device) =>
            deviceImage(
              device,
              groupsOf.get(device.id)?.map((membership) => membership.security_group_id) ?? [],
            ),
          ),
        ],
      };
    },
    { name: 'snapshot of a VPC', isolation: 'repeatable read', readOnly: true },
  );
}

/** Columns of a device that its image in the log is made of. */
export interface DeviceImageRow {
  id: string;
  hostname: string;
  device_public_key: Buffer;
  binding: Buffer | null;
  ipv4_address: string;
  ipv6_address: string;
  expires_at: Date;
}

/** Columns of a security group that its image in the log is made of. */
export interface SecurityGroupRow {
  id: string;
  is_default: boolean;
  /** SecurityGroupImage in Protobuf JSON: its rules. */
  rules: unknown;
}

/** A device as the log keeps it. */
export function deviceImage(
  row: DeviceImageRow,
  securityGroupIds: readonly string[],
): ResourceImage {
  return ResourceImage.fromPartial({
    resource: {
      $case: 'device',
      value: {
        id: row.id,
        hostname: row.hostname,
        devicePublicKey: row.device_public_key,
        binding: row.binding === null ? undefined : PeerBinding.decode(row.binding),
        ipv4Address: row.ipv4_address,
        ipv6Address: row.ipv6_address,
        securityGroupIds: [...securityGroupIds],
        expireTimeSeconds: BigInt(Math.floor(row.expires_at.getTime() / 1000)),
      },
    },
  });
}

/** A security group as the log keeps it. */
export function securityGroupImage(row: SecurityGroupRow): ResourceImage {
  const value = {
    ...SecurityGroupImage.fromJSON(row.rules),
    id: row.id,
    isDefault: row.is_default,
  };
  return ResourceImage.fromPartial({ resource: { $case: 'securityGroup', value } });
}

/** A VPC as the log keeps it. */
export function vpcImage(value: {
  id: string;
  organizationId: string;
  name: string;
}): ResourceImage {
  return ResourceImage.fromPartial({ resource: { $case: 'vpc', value } });
}

import { SecurityGroupImage } from '@nexodus/contracts/event';
import type { Transaction } from '@nexodus/database';
import { formatIpPrefix, nthSubnet, parseIpPrefix } from '@nexodus/netip';
import { type ChangeLog, securityGroupImage, vpcImage } from '../database/change-log.ts';
import type { IpamOutbox } from '../ipam/ipam-outbox.ts';

/** IPv4 prefix of a VPC that brings none: shared address space (RFC 6598), where no private network is. */
export const defaultIpv4Prefix = '100.64.0.0/10';

/** A VPC as stored. */
export interface VpcRow {
  id: string;
  organization_id: string;
  name: string;
  description: string;
  ipv4_prefix: string;
  ipv6_prefix: string;
  is_default: boolean;
  revision: bigint;
  created_at: Date;
}

/** A VPC to be made. */
export interface NewVpc {
  organizationId: string;
  name: string;
  description: string;
  /** Canonical CIDR. */
  ipv4Prefix: string;
  /** Canonical CIDR; undefined for the next /64 of the organization's ULA prefix. */
  ipv6Prefix: string | undefined;
  isDefault: boolean;
}

/** Makes a VPC, its default security group and its first revision, and has its pool made. */
export async function insertVpc(
  transaction: Transaction,
  vpc: NewVpc,
  { changeLog, ipamOutbox }: { changeLog: ChangeLog; ipamOutbox: Pick<IpamOutbox, 'put'> },
): Promise<VpcRow> {
  const { knex } = transaction;
  const [row] = await knex<VpcRow>('vpcs')
    .insert({
      organization_id: vpc.organizationId,
      name: vpc.name,
      description: vpc.description,
      ipv4_prefix: vpc.ipv4Prefix,
      ipv6_prefix: vpc.ipv6Prefix ?? (await nextUlaSubnet(transaction, vpc.organizationId)),
      is_default: vpc.isDefault,
    })
    .returning('*');
  if (row === undefined) throw new Error('PostgreSQL returned no row for an insert');
  const group = await insertDefaultGroup(transaction, row.id);
  await ipamOutbox.put(transaction, {
    kind: 'create-pool',
    poolId: row.id,
    ipv4Prefix: row.ipv4_prefix,
    ipv6Prefix: row.ipv6_prefix,
  });
  const revision = await changeLog.append(transaction, row.id, [
    {
      before: undefined,
      after: vpcImage({ id: row.id, organizationId: row.organization_id, name: row.name }),
    },
    { before: undefined, after: securityGroupImage(group) },
  ]);
  return { ...row, revision };
}

/** Inbound from members of the group itself, outbound to anywhere. */
async function insertDefaultGroup(
  { knex }: Transaction,
  vpcId: string,
): Promise<{ id: string; is_default: boolean; rules: unknown }> {
  const [made] = await knex('security_groups')
    .insert({ vpc_id: vpcId, name: 'default', is_default: true, rules: '{}' })
    .returning('id');
  const id: string = made.id;
  const anywhere = (range: string): object => ({ peer: { $case: 'addressRange', value: range } });
  const image = SecurityGroupImage.fromPartial({
    inbound: [{ peer: { $case: 'securityGroupId', value: id } }],
    outbound: [anywhere('0.0.0.0/0'), anywhere('::/0')],
  });
  const rules = SecurityGroupImage.toJSON(image);
  await knex('security_groups')
    .where({ id })
    .update({ rules: JSON.stringify(rules) });
  return { id, is_default: true, rules };
}

/** The next /64 that the organization has not used; the organization's row is locked against a second one. */
async function nextUlaSubnet({ knex }: Transaction, organizationId: string): Promise<string> {
  const organization = await knex('organizations')
    .where({ id: organizationId })
    .forUpdate()
    .first('ula_prefix');
  const used = await knex<VpcRow>('vpcs')
    .where({ organization_id: organizationId })
    .select('ipv6_prefix');
  const taken = new Set(used.map((row) => row.ipv6_prefix));
  const ula = parseIpPrefix(String(organization?.ula_prefix));
  for (let index = 0n; index < 65_536n; index += 1n) {
    const candidate = formatIpPrefix(nthSubnet(ula, 64, index));
    if (!taken.has(candidate)) return candidate;
  }
  throw new Error('the organization has used all 65,536 subnets of its ULA prefix');
}

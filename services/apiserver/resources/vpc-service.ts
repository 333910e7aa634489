import {
  CreateVpcRequest,
  CreateVpcResponse,
  type Vpc,
  type VpcServiceImplementation,
} from '@nexodus/contracts/api';
import { isUniqueViolation } from '@nexodus/database';
import { type IpFamily, parseAssignablePrefix } from '@nexodus/netip';
import {
  failedPrecondition,
  type FieldViolation,
  invalidArgument,
  notFound,
  RpcError,
  Status,
} from '@nexodus/rpc';
import { isLabel } from '../core/hostname.ts';
import { textViolations } from '../core/text-field.ts';
import { isUuid } from '../core/uuid.ts';
import { chosenOrganization } from '../identity/authorizer.ts';
import type { Caller } from '../identity/caller.ts';
import type { ResourceDependencies } from './dependencies.ts';
import { etagOf, requireEtag } from './etag.ts';
import { createOnce } from './idempotent-create.ts';
import { cutPage, parsePage } from './page.ts';
import { defaultIpv4Prefix, insertVpc, type VpcRow } from './vpc-creation.ts';

/** Longest description, in characters. */
const longestDescription = 500;

/** Handlers of nexodus.api.v1.VpcService. */
export function createVpcService(
  dependencies: ResourceDependencies,
): VpcServiceImplementation<{ identity: Caller }> {
  const { database, authorizer } = dependencies;
  return {
    createVpc: (request, { identity }) => createVpc(dependencies, request, identity),
    getVpc: async ({ id }, { identity }) => ({
      vpc: vpcOnWire(await readVpc(dependencies, identity, id)),
    }),
    listVpcs: async (request, { identity }) => {
      const page = parsePage(request);
      const allowed = await authorizer.organizationsFor(identity, 'vpc.read', 'vpc');
      const wanted =
        request.organizationId === ''
          ? allowed
          : allowed.filter((id) => id === request.organizationId);
      const query = database.knex<VpcRow>('vpcs').whereIn('organization_id', wanted).orderBy('id');
      if (page.after !== undefined) void query.where('id', '>', page.after);
      const { rows, nextPageToken } = cutPage(await query.limit(page.limit + 1), page);
      return { vpcs: rows.map(vpcOnWire), nextPageToken };
    },
    deleteVpc: (request, { identity }) => deleteVpc(dependencies, request, identity),
  };
}

async function readVpc(
  { database, authorizer }: ResourceDependencies,
  caller: Caller,
  id: string,
): Promise<VpcRow> {
  const row = isUuid(id) ? await database.knex<VpcRow>('vpcs').where({ id }).first() : undefined;
  if (row === undefined) throw notFound('vpc', id);
  await authorizer.require(caller, 'vpc.read', {
    kind: 'vpc',
    id,
    organizationId: row.organization_id,
  });
  return row;
}

async function createVpc(
  dependencies: ResourceDependencies,
  request: CreateVpcRequest,
  caller: Caller,
): Promise<CreateVpcResponse> {
  const { database, authorizer, audit } = dependencies;
  const organizationId = chosenOrganization(caller, request.organizationId);
  await authorizer.require(caller, 'vpc.create', {
    kind: 'organization',
    id: organizationId,
    organizationId,
  });
  const prefixes = validate(request);
  try {
    return await database.transaction(
      (transaction) =>
        createOnce(
          transaction,
          {
            caller,
            method: 'CreateVpc',
            requestId: request.requestId,
            request: CreateVpcRequest.encode(request).finish(),
            encode: (answer: CreateVpcResponse) => CreateVpcResponse.encode(answer).finish(),
            decode: (bytes) => CreateVpcResponse.decode(bytes),
          },
          async () => {
            const { name, description } = request;
            const vpc = { organizationId, name, description, ...prefixes, isDefault: false };
            const row = await insertVpc(transaction, vpc, dependencies);
            await audit.done(transaction, caller, {
              action: 'vpc.create',
              kind: 'vpc',
              id: row.id,
              organizationId,
            });
            return { vpc: vpcOnWire(row) };
          },
        ),
      { name: 'create VPC' },
    );
  } catch (error) {
    if (!isUniqueViolation(error, 'vpcs_organization_id_name_key')) throw error;
    throw new RpcError(
      Status.ALREADY_EXISTS,
      `a VPC called "${request.name}" exists in this organization`,
      {
        resource: { kind: 'vpc', name: request.name },
      },
    );
  }
}

function validate(request: CreateVpcRequest): {
  ipv4Prefix: string;
  ipv6Prefix: string | undefined;
} {
  const violations: FieldViolation[] = [];
  if (!isLabel(request.name)) {
    violations.push({
      field: 'name',
      description: 'must be 1-63 of a-z, 0-9 and "-", not at the ends',
    });
  }
  violations.push(
    ...textViolations('description', request.description, { max: longestDescription }),
  );
  const ipv4Prefix = request.ipv4Prefix === '' ? defaultIpv4Prefix : request.ipv4Prefix;
  const ipv6Prefix = request.ipv6Prefix === '' ? undefined : request.ipv6Prefix;
  violations.push(...prefixViolations('ipv4_prefix', ipv4Prefix, 4));
  if (ipv6Prefix !== undefined) violations.push(...prefixViolations('ipv6_prefix', ipv6Prefix, 6));
  if (violations.length > 0) throw invalidArgument(violations);
  return { ipv4Prefix, ipv6Prefix };
}

function prefixViolations(field: string, text: string, family: IpFamily): FieldViolation[] {
  const read = parseAssignablePrefix(family, text);
  return 'problem' in read ? [{ field, description: read.problem }] : [];
}

async function deleteVpc(
  dependencies: ResourceDependencies,
  { id, etag }: { id: string; etag: string },
  caller: Caller,
): Promise<Record<string, never>> {
  const { organization_id: organizationId } = await readVpc(dependencies, caller, id);
  await dependencies.authorizer.require(caller, 'vpc.delete', { kind: 'vpc', id, organizationId });
  await dependencies.database.transaction(
    async (transaction) => {
      const { knex } = transaction;
      // Enrolments lock the registration key before the VPC.
      await knex('registration_keys').where({ vpc_id: id }).orderBy('id').forUpdate().select('id');
      const row = await knex<VpcRow>('vpcs').where({ id }).forUpdate().first();
      if (row === undefined) throw notFound('vpc', id);
      requireEtag(etag, vpcEtag(row), 'vpc');
      if (row.is_default)
        throw failedPrecondition('VPC_IS_DEFAULT', 'the default VPC of an organization stays');
      const [count] = await knex('devices').where({ vpc_id: id }).count<{ count: bigint }[]>();
      const devices = count?.count ?? 0n;
      if (devices > 0n) {
        const message = `the VPC has ${devices} device${devices === 1n ? '' : 's'}: delete or move them first`;
        throw failedPrecondition('VPC_NOT_EMPTY', message, { devices: String(devices) });
      }
      await dependencies.ipamOutbox.put(transaction, { kind: 'delete-pool', poolId: id });
      await dependencies.audit.done(transaction, caller, {
        action: 'vpc.delete',
        kind: 'vpc',
        id,
        organizationId,
      });
      await knex('vpcs').where({ id }).delete();
    },
    { name: 'delete VPC' },
  );
  return {};
}

function vpcEtag(row: VpcRow): string {
  return etagOf(row.name, row.description);
}

function vpcOnWire(row: VpcRow): Vpc {
  return {
    id: row.id,
    organizationId: row.organization_id,
    name: row.name,
    description: row.description,
    ipv4Prefix: row.ipv4_prefix,
    ipv6Prefix: row.ipv6_prefix,
    isDefault: row.is_default,
    revision: row.revision,
    etag: vpcEtag(row),
    createTime: row.created_at,
  };
}

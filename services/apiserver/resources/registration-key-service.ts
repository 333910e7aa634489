import {
  CreateRegistrationKeyRequest,
  type CreateRegistrationKeyResponse,
  type RegistrationKey,
  type RegistrationKeyServiceImplementation,
} from '@nexodus/contracts/api';
import { isForeignKeyViolation, type Transaction } from '@nexodus/database';
import { generateRegistrationKey } from '@nexodus/device-identity';
import { type FieldViolation, invalidArgument, notFound, RpcError, Status } from '@nexodus/rpc';
import { textViolations } from '../core/text-field.ts';
import { isUuid } from '../core/uuid.ts';
import { chosenOrganization } from '../identity/authorizer.ts';
import type { Caller } from '../identity/caller.ts';
import type { ResourceDependencies } from './dependencies.ts';
import { createOnce, type RepeatableCreate } from './idempotent-create.ts';
import { cutPage, parsePage } from './page.ts';
import type { VpcRow } from './vpc-creation.ts';

/** Life of a key that does not say, and its bounds, in seconds. */
const defaultTtlSeconds = 90 * 86_400;
const shortestTtlSeconds = 60;
const longestTtlSeconds = 365 * 86_400;

/** Most tags and security groups that a key gives to a device. */
const mostTags = 50;
const mostGroups = 16;

/** A registration key as stored. */
export interface RegistrationKeyRow {
  id: string;
  organization_id: string;
  vpc_id: string;
  description: string;
  prefix: string;
  hash: Buffer;
  max_uses: number;
  uses: number;
  ephemeral: boolean;
  security_group_ids: string[];
  tags: string[];
  owner_user_id: string | null;
  expires_at: Date;
  deleted_at: Date | null;
  created_at: Date;
}

/** Handlers of nexodus.api.v1.RegistrationKeyService. */
export function createRegistrationKeyService(
  dependencies: ResourceDependencies,
): RegistrationKeyServiceImplementation<{ identity: Caller }> {
  const { database, authorizer, audit } = dependencies;
  return {
    createRegistrationKey: (request, { identity }) => createKey(dependencies, request, identity),
    getRegistrationKey: async ({ id }, { identity }) => ({
      registrationKey: keyOnWire(await readKey(dependencies, identity, id)),
    }),
    listRegistrationKeys: async (request, { identity }) => {
      const page = parsePage(request);
      const allowed = await authorizer.organizationsFor(
        identity,
        'registration-key.read',
        'registration-key',
      );
      const wanted =
        request.organizationId === ''
          ? allowed
          : allowed.filter((id) => id === request.organizationId);
      const query = database
        .knex<RegistrationKeyRow>('registration_keys')
        .whereIn('organization_id', wanted)
        .whereNull('deleted_at')
        .orderBy('id');
      if (page.after !== undefined) void query.where('id', '>', page.after);
      const { rows, nextPageToken } = cutPage(await query.limit(page.limit + 1), page);
      return { registrationKeys: rows.map(keyOnWire), nextPageToken };
    },
    deleteRegistrationKey: async ({ id }, { identity }) => {
      const row = await readKey(dependencies, identity, id);
      await authorizer.require(identity, 'registration-key.delete', protectedKey(row));
      await database.transaction(
        async (transaction) => {
          const deleted = await transaction
            .knex('registration_keys')
            .where({ id })
            .whereNull('deleted_at')
            .update({ deleted_at: transaction.knex.fn.now() });
          if (deleted === 0) throw notFound('registration-key', id);
          const organizationId = row.organization_id;
          await audit.done(transaction, identity, {
            action: 'registration-key.delete',
            kind: 'registration-key',
            id,
            organizationId,
          });
        },
        { name: 'delete registration key' },
      );
      return {};
    },
  };
}

async function readKey(
  { database, authorizer }: ResourceDependencies,
  caller: Caller,
  id: string,
): Promise<RegistrationKeyRow> {
  const row = isUuid(id)
    ? await database
        .knex<RegistrationKeyRow>('registration_keys')
        .where({ id })
        .whereNull('deleted_at')
        .first()
    : undefined;
  if (row === undefined) throw notFound('registration-key', id);
  await authorizer.require(caller, 'registration-key.read', protectedKey(row));
  return row;
}

function protectedKey(row: RegistrationKeyRow): {
  kind: string;
  id: string;
  organizationId: string;
} {
  return { kind: 'registration-key', id: row.id, organizationId: row.organization_id };
}

async function createKey(
  dependencies: ResourceDependencies,
  request: CreateRegistrationKeyRequest,
  caller: Caller,
): Promise<CreateRegistrationKeyResponse> {
  const { database, authorizer, audit, clock, randomBytes } = dependencies;
  const vpc = await chosenVpc(dependencies, request.vpcId, caller);
  const organizationId = vpc.organization_id;
  await authorizer.require(caller, 'registration-key.create', {
    kind: 'vpc',
    id: vpc.id,
    organizationId,
  });
  const { maxUses, ttlSeconds } = validate(request);
  await requireGroups(dependencies, vpc.id, request.securityGroupIds);
  const key = generateRegistrationKey(randomBytes);
  const insert = async (transaction: Transaction): Promise<MadeKey> => {
    const [made] = await transaction
      .knex<RegistrationKeyRow>('registration_keys')
      .insert({
        organization_id: organizationId,
        vpc_id: vpc.id,
        description: request.description,
        prefix: key.prefix,
        hash: Buffer.from(key.hash),
        max_uses: maxUses,
        ephemeral: request.ephemeral,
        security_group_ids: request.securityGroupIds,
        tags: request.tags,
        owner_user_id: caller.kind === 'user' ? caller.id : null,
        expires_at: new Date(clock.now() + ttlSeconds * 1000),
      })
      .returning('*');
    if (made === undefined) throw new Error('PostgreSQL returned no row for an insert');
    const { id } = made;
    const act = { action: 'registration-key.create', kind: 'registration-key', id, organizationId };
    await audit.done(transaction, caller, act);
    return { id, row: made };
  };
  const { id, row } = await database
    .transaction((transaction) => createOnce(transaction, repeatable(request, caller), insert), {
      name: 'create registration key',
    })
    .catch((error: unknown) => {
      throw isForeignKeyViolation(error, 'registration_keys_vpc_id_fkey')
        ? notFound('vpc', vpc.id)
        : error;
    });
  if (row === undefined) throw requestRepeated(id);
  return { registrationKey: keyOnWire(row), secret: key.exportText() };
}

/** A key; without its row for a repeated request, because the secret is not kept and cannot be answered again. */
interface MadeKey {
  id: string;
  row: RegistrationKeyRow | undefined;
}

function repeatable(
  request: CreateRegistrationKeyRequest,
  caller: Caller,
): RepeatableCreate<MadeKey> {
  return {
    caller,
    method: 'CreateRegistrationKey',
    requestId: request.requestId,
    request: CreateRegistrationKeyRequest.encode(request).finish(),
    encode: ({ id }) => Buffer.from(id),
    decode: (bytes) => ({ id: Buffer.from(bytes).toString(), row: undefined }),
  };
}

function requestRepeated(registrationKeyId: string): RpcError {
  return new RpcError(
    Status.ALREADY_EXISTS,
    'this request made a key before; keys are shown once: create another',
    { reason: 'REQUEST_REPEATED', metadata: { registration_key_id: registrationKeyId } },
  );
}

async function chosenVpc(
  { database, authorizer }: ResourceDependencies,
  vpcId: string,
  caller: Caller,
): Promise<VpcRow> {
  const where =
    vpcId === ''
      ? { organization_id: chosenOrganization(caller, ''), is_default: true }
      : { id: vpcId };
  const row =
    vpcId === '' || isUuid(vpcId)
      ? await database.knex<VpcRow>('vpcs').where(where).first()
      : undefined;
  if (row === undefined) throw notFound('vpc', vpcId);
  await authorizer.require(caller, 'vpc.read', {
    kind: 'vpc',
    id: row.id,
    organizationId: row.organization_id,
  });
  return row;
}

function validate(request: CreateRegistrationKeyRequest): { maxUses: number; ttlSeconds: number } {
  const violations: FieldViolation[] = [];
  const maxUses = request.maxUses ?? 1;
  const ttlSeconds = request.ttl === undefined ? defaultTtlSeconds : Number(request.ttl.seconds);
  if (maxUses < 0) violations.push({ field: 'max_uses', description: 'must not be negative' });
  if (ttlSeconds < shortestTtlSeconds || ttlSeconds > longestTtlSeconds) {
    violations.push({ field: 'ttl', description: 'must be between one minute and 365 days' });
  }
  violations.push(...textViolations('description', request.description, { max: 500 }));
  if (request.tags.length > mostTags) {
    violations.push({ field: 'tags', description: `must not be more than ${mostTags}` });
  }
  violations.push(
    ...request.tags.flatMap((tag) => textViolations('tags', tag, { min: 1, max: 63 })).slice(0, 1),
  );
  const groups = request.securityGroupIds;
  if (groups.length > mostGroups || new Set(groups).size < groups.length) {
    const description = `must be at most ${mostGroups}, each named once`;
    violations.push({ field: 'security_group_ids', description });
  }
  if (violations.length > 0) throw invalidArgument(violations);
  return { maxUses, ttlSeconds };
}

async function requireGroups(
  { database }: ResourceDependencies,
  vpcId: string,
  ids: readonly string[],
): Promise<void> {
  const violation = { field: 'security_group_ids', description: 'must be groups of the VPC' };
  if (!ids.every(isUuid)) throw invalidArgument([violation]);
  const found = await database
    .knex('security_groups')
    .where({ vpc_id: vpcId })
    .whereIn('id', [...ids])
    .select('id');
  if (found.length !== ids.length) throw invalidArgument([violation]);
}

function keyOnWire(row: RegistrationKeyRow): RegistrationKey {
  return {
    id: row.id,
    organizationId: row.organization_id,
    vpcId: row.vpc_id,
    description: row.description,
    prefix: row.prefix,
    maxUses: row.max_uses,
    uses: row.uses,
    ephemeral: row.ephemeral,
    securityGroupIds: row.security_group_ids,
    tags: row.tags,
    expireTime: row.expires_at,
    createTime: row.created_at,
  };
}

import {
  type CreateRegistrationKeyRequest,
  type CreateRegistrationKeyResponse,
  type RegistrationKey,
  type RegistrationKeyServiceImplementation,
} from '@nexodus/contracts/api';
import { generateRegistrationKey } from '@nexodus/device-identity';
import { type FieldViolation, invalidArgument, notFound, RpcError, Status } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import { chosenOrganization } from '../identity/authorizer.ts';
import { type Caller, callerId } from '../identity/caller.ts';
import type { ResourceDependencies } from './dependencies.ts';
import { cutPage, parsePage } from './page.ts';
import type { VpcRow } from './vpc-creation.ts';

/** Life of a key that does not say, and its bounds, in seconds. */
const defaultTtlSeconds = 90 * 86_400;
const shortestTtlSeconds = 60;
const longestTtlSeconds = 365 * 86_400;

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
          if (deleted === 0) throw notFound('registration key', id);
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
  if (row === undefined) throw notFound('registration key', id);
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
  const row = await database.transaction(
    async (transaction) => {
      await refuseRepeatedRequest(transaction.knex, caller, request.requestId);
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
      const act = {
        action: 'registration-key.create',
        kind: 'registration-key',
        id: made.id,
        organizationId,
      };
      await audit.done(transaction, caller, act);
      return made;
    },
    { name: 'create registration key' },
  );
  return { registrationKey: keyOnWire(row), secret: key.exportText() };
}

/** The secret is not kept, so a repetition cannot be answered: it is told that the key exists. */
async function refuseRepeatedRequest(
  knex: ResourceDependencies['database']['knex'],
  caller: Caller,
  requestId: string,
): Promise<void> {
  if (requestId === '') return;
  if (!isUuid(requestId))
    throw invalidArgument([{ field: 'request_id', description: 'must be a UUID' }]);
  const inserted = await knex('idempotent_answers')
    .insert({
      actor_id: callerId(caller),
      method: 'CreateRegistrationKey',
      request_id: requestId,
      request_hash: Buffer.alloc(0),
      response: Buffer.alloc(0),
    })
    .onConflict(['actor_id', 'method', 'request_id'])
    .ignore()
    .returning('request_id');
  if (inserted.length > 0) return;
  throw new RpcError(
    Status.ALREADY_EXISTS,
    'this request made a key before; keys are shown once: create another',
    {
      reason: 'REQUEST_REPEATED',
    },
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
  if (request.description.length > 500) {
    violations.push({ field: 'description', description: 'must not exceed 500 characters' });
  }
  if (request.tags.length > 50 || request.tags.some((tag) => tag.length === 0 || tag.length > 63)) {
    violations.push({ field: 'tags', description: 'must be at most 50 of 1-63 characters' });
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
  if (found.length !== new Set(ids).size) throw invalidArgument([violation]);
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

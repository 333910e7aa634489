import {
  CreateServiceAccountRequest,
  CreateServiceAccountResponse,
  type ServiceAccount,
  type ServiceAccountServiceImplementation,
} from '@nexodus/contracts/api';
import { isUniqueViolation, type Transaction } from '@nexodus/database';
import { InvalidSigningKeyError, parseEd25519PublicKey } from '@nexodus/device-identity';
import { type FieldViolation, invalidArgument, notFound, RpcError, Status } from '@nexodus/rpc';
import { textViolations } from '../core/text-field.ts';
import { isUuid } from '../core/uuid.ts';
import { chosenOrganization } from '../identity/authorizer.ts';
import { type Caller, callerGrants, type RoleName } from '../identity/caller.ts';
import type { ResourceDependencies } from './dependencies.ts';
import { createOnce } from './idempotent-create.ts';
import { cutPage, parsePage } from './page.ts';
import { roleOnWire } from './user-service.ts';

/** A service account as stored. */
export interface ServiceAccountRow {
  id: string;
  organization_id: string;
  name: string;
  role: Exclude<RoleName, 'owner'>;
  public_key: Buffer;
  disabled: boolean;
  bootstrap: boolean;
  created_at: Date;
}

/** Roles from the strongest; an account gets none above that of who makes it. */
const byStrength: readonly RoleName[] = ['owner', 'admin', 'member', 'auditor'];

/** Handlers of nexodus.api.v1.ServiceAccountService. */
export function createServiceAccountService(
  dependencies: ResourceDependencies,
): ServiceAccountServiceImplementation<{ identity: Caller }> {
  const { database, authorizer } = dependencies;
  return {
    createServiceAccount: (request, { identity }) => createAccount(dependencies, request, identity),
    getServiceAccount: async ({ id }, { identity }) => ({
      serviceAccount: accountOnWire(await readAccount(dependencies, identity, id)),
    }),
    listServiceAccounts: async (request, { identity }) => {
      const page = parsePage(request);
      const allowed = await authorizer.organizationsFor(
        identity,
        'service-account.read',
        'service-account',
      );
      const wanted =
        request.organizationId === ''
          ? allowed
          : allowed.filter((id) => id === request.organizationId);
      const query = database
        .knex<ServiceAccountRow>('service_accounts')
        .whereIn('organization_id', wanted)
        .orderBy('id');
      if (page.after !== undefined) void query.where('id', '>', page.after);
      const { rows, nextPageToken } = cutPage(await query.limit(page.limit + 1), page);
      return { serviceAccounts: rows.map(accountOnWire), nextPageToken };
    },
    rotateServiceAccountKey: async ({ id, publicKey }, { identity }) => {
      const key = Buffer.from(parseAccountKey(publicKey));
      const change = { public_key: key };
      const target = { id, action: 'service-account.rotate' };
      try {
        return { serviceAccount: await updateAccount(dependencies, identity, target, change) };
      } catch (error) {
        if (!isUniqueViolation(error, 'service_accounts_public_key_key')) throw error;
        throw new RpcError(Status.ALREADY_EXISTS, 'another service account has this key', {
          reason: 'KEY_TAKEN',
        });
      }
    },
    disableServiceAccount: async ({ id }, { identity }) => {
      const target = { id, action: 'service-account.disable' };
      return {
        serviceAccount: await updateAccount(dependencies, identity, target, { disabled: true }),
      };
    },
    deleteServiceAccount: async ({ id }, { identity }) => {
      const target = { id, action: 'service-account.delete' };
      await changeAccount(dependencies, identity, target, ({ knex }) =>
        knex<ServiceAccountRow>('service_accounts').where({ id }).delete().returning('*'),
      );
      return {};
    },
  };
}

async function updateAccount(
  dependencies: ResourceDependencies,
  caller: Caller,
  target: { id: string; action: string },
  change: Partial<Pick<ServiceAccountRow, 'public_key' | 'disabled'>>,
): Promise<ServiceAccount> {
  const row = await changeAccount(dependencies, caller, target, ({ knex }) =>
    knex<ServiceAccountRow>('service_accounts')
      .where({ id: target.id })
      .update(change)
      .returning('*'),
  );
  return accountOnWire(row);
}

async function readAccount(
  { database, authorizer }: ResourceDependencies,
  caller: Caller,
  id: string,
): Promise<ServiceAccountRow> {
  const row = isUuid(id)
    ? await database.knex<ServiceAccountRow>('service_accounts').where({ id }).first()
    : undefined;
  if (row === undefined) throw notFound('service-account', id);
  const organizationId = row.organization_id;
  await authorizer.require(caller, 'service-account.read', {
    kind: 'service-account',
    id,
    organizationId,
  });
  return row;
}

/** Changes an account in an audited transaction; `change` returns the changed rows. */
async function changeAccount(
  dependencies: ResourceDependencies,
  caller: Caller,
  { id, action }: { id: string; action: string },
  change: (transaction: Transaction) => PromiseLike<ServiceAccountRow[]>,
): Promise<ServiceAccountRow> {
  const { database, authorizer, audit } = dependencies;
  const { organization_id: organizationId } = await readAccount(dependencies, caller, id);
  await authorizer.require(caller, action, { kind: 'service-account', id, organizationId });
  return database.transaction(
    async (transaction) => {
      const [row] = await change(transaction);
      if (row === undefined) throw notFound('service-account', id);
      await audit.done(transaction, caller, {
        action,
        kind: 'service-account',
        id,
        organizationId,
      });
      return row;
    },
    { name: action },
  );
}

async function createAccount(
  dependencies: ResourceDependencies,
  request: CreateServiceAccountRequest,
  caller: Caller,
): Promise<CreateServiceAccountResponse> {
  const { database, authorizer, audit } = dependencies;
  const organizationId = chosenOrganization(caller, request.organizationId);
  const target = { kind: 'organization', id: organizationId, organizationId };
  await authorizer.require(caller, 'service-account.create', target);
  const { role, publicKey } = validate(request, caller, organizationId);
  const insert = async (transaction: Transaction): Promise<CreateServiceAccountResponse> => {
    const [row] = await transaction
      .knex<ServiceAccountRow>('service_accounts')
      .insert({ organization_id: organizationId, name: request.name, role, public_key: publicKey })
      .returning('*');
    if (row === undefined) throw new Error('PostgreSQL returned no row for an insert');
    const act = {
      action: 'service-account.create',
      kind: 'service-account',
      id: row.id,
      organizationId,
    };
    await audit.done(transaction, caller, act);
    return { serviceAccount: accountOnWire(row) };
  };
  try {
    return await database.transaction(
      (transaction) =>
        createOnce(
          transaction,
          {
            caller,
            method: 'CreateServiceAccount',
            requestId: request.requestId,
            request: CreateServiceAccountRequest.encode(request).finish(),
            encode: (answer: CreateServiceAccountResponse) =>
              CreateServiceAccountResponse.encode(answer).finish(),
            decode: (bytes) => CreateServiceAccountResponse.decode(bytes),
          },
          insert,
        ),
      { name: 'create service account' },
    );
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    const message = `a service account called "${request.name}", or with this key, exists`;
    throw new RpcError(Status.ALREADY_EXISTS, message, {
      resource: { kind: 'service-account', name: request.name },
    });
  }
}

function validate(
  request: CreateServiceAccountRequest,
  caller: Caller,
  organizationId: string,
): { role: ServiceAccountRow['role']; publicKey: Buffer } {
  const violations: FieldViolation[] = textViolations('name', request.name, { min: 1, max: 63 });
  const role = byStrength.find((name) => roleOnWire[name] === request.role);
  if (role === undefined || role === 'owner') {
    violations.push({ field: 'role', description: `must be one of admin, member, auditor` });
    throw invalidArgument(violations);
  }
  if (violations.length > 0) throw invalidArgument(violations);
  const own =
    callerGrants(caller).find((grant) => grant.organizationId === organizationId)?.role ??
    'auditor';
  if (byStrength.indexOf(role) < byStrength.indexOf(own)) {
    throw new RpcError(
      Status.PERMISSION_DENIED,
      `your own role is ${own}: you cannot grant ${role}`,
      {
        reason: 'ROLE_INSUFFICIENT',
      },
    );
  }
  return { role, publicKey: Buffer.from(parseAccountKey(request.publicKey)) };
}

function parseAccountKey(bytes: Uint8Array): Uint8Array {
  try {
    return parseEd25519PublicKey(bytes, 'service-account');
  } catch (error) {
    if (error instanceof InvalidSigningKeyError) {
      throw invalidArgument([{ field: 'public_key', description: error.message }]);
    }
    throw error;
  }
}

function accountOnWire(row: ServiceAccountRow): ServiceAccount {
  return {
    id: row.id,
    organizationId: row.organization_id,
    name: row.name,
    role: roleOnWire[row.role],
    publicKey: row.public_key,
    disabled: row.disabled,
    bootstrap: row.bootstrap,
    createTime: row.created_at,
  };
}

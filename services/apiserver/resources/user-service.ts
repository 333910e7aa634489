import { Role, type User, type UserServiceImplementation } from '@nexodus/contracts/api';
import type { Database } from '@nexodus/database';
import { notFound } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import { type Caller, callerGrants, type RoleName } from '../identity/caller.ts';
import type { UserRow } from '../identity/user-directory.ts';

/** Roles on the wire, by their stored names. */
export const roleOnWire: Readonly<Record<RoleName, Role>> = {
  owner: Role.OWNER,
  admin: Role.ADMIN,
  member: Role.MEMBER,
  auditor: Role.AUDITOR,
};

/** Handlers of nexodus.api.v1.UserService. */
export function createUserService(
  database: Database,
): UserServiceImplementation<{ identity: Caller }> {
  return {
    getUser: async ({ id }, { identity }) => {
      const wanted = id === 'me' && identity.kind === 'user' ? identity.id : id;
      const row = isUuid(wanted) ? await findVisibleUser(database, wanted, identity) : undefined;
      if (row === undefined) throw notFound('user', id);
      return { user: userOnWire(row) };
    },
    whoAmI: async (_request, { identity }) => ({
      principal: await principalOf(database, identity),
      memberships: await membershipsOf(database, identity),
    }),
  };
}

/** A user sees itself and the members of its organizations; a service account those of its own. */
async function findVisibleUser(
  database: Database,
  id: string,
  caller: Caller,
): Promise<UserRow | undefined> {
  const { knex } = database;
  const organizationIds = callerGrants(caller).map((grant) => grant.organizationId);
  const colleagues = knex('memberships')
    .whereIn('organization_id', organizationIds)
    .select('user_id');
  const query = knex<UserRow>('users').where({ id }).first();
  return caller.kind === 'user' && caller.id === id ? query : query.whereIn('id', colleagues);
}

function userOnWire(row: UserRow): User {
  return {
    id: row.id,
    issuer: row.issuer,
    subject: row.subject,
    email: row.email,
    emailVerified: row.email_verified,
    displayName: row.display_name,
    createTime: row.created_at,
  };
}

type Principal =
  | { $case: 'user'; value: User }
  | { $case: 'serviceAccountId'; value: string }
  | { $case: 'deviceId'; value: string };

async function principalOf(database: Database, caller: Caller): Promise<Principal | undefined> {
  switch (caller.kind) {
    case 'user': {
      const row = await database.knex<UserRow>('users').where({ id: caller.id }).first();
      return row === undefined ? undefined : { $case: 'user', value: userOnWire(row) };
    }
    case 'service_account':
      return { $case: 'serviceAccountId', value: caller.id };
    case 'device':
      return { $case: 'deviceId', value: caller.id };
    case 'anonymous':
    case 'service':
      return undefined;
  }
}

async function membershipsOf(
  database: Database,
  caller: Caller,
): Promise<{ organizationId: string; organizationName: string; role: Role }[]> {
  const grants = callerGrants(caller);
  const ids = grants.map((grant) => grant.organizationId);
  const rows = await database.knex('organizations').whereIn('id', ids).select('id', 'name');
  const names = new Map<string, string>(rows.map((row) => [row.id, row.name]));
  return grants.map(({ organizationId, role }) => ({
    organizationId,
    organizationName: names.get(organizationId) ?? '',
    role: roleOnWire[role],
  }));
}

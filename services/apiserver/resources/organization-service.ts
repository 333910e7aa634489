import type { Organization, OrganizationServiceImplementation } from '@nexodus/contracts/api';
import { notFound } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import { type Caller, callerGrants } from '../identity/caller.ts';
import type { ResourceDependencies } from './dependencies.ts';
import { cutPage, parsePage } from './page.ts';
import { roleOnWire } from './user-service.ts';

interface OrganizationRow {
  id: string;
  name: string;
  ula_prefix: string;
  created_at: Date;
}

/** Handlers of nexodus.api.v1.OrganizationService. */
export function createOrganizationService({
  database,
  authorizer,
}: Pick<ResourceDependencies, 'database' | 'authorizer'>): OrganizationServiceImplementation<{
  identity: Caller;
}> {
  return {
    getOrganization: async ({ id }, { identity }) => {
      if (!isUuid(id)) throw notFound('organization', id);
      await authorizer.require(identity, 'organization.read', {
        kind: 'organization',
        id,
        organizationId: id,
      });
      const row = await database.knex<OrganizationRow>('organizations').where({ id }).first();
      if (row === undefined) throw notFound('organization', id);
      return { organization: organizationOnWire(row, identity) };
    },
    listOrganizations: async (request, { identity }) => {
      const page = parsePage(request);
      const ids = await authorizer.organizationsFor(identity, 'organization.read', 'organization');
      const query = database
        .knex<OrganizationRow>('organizations')
        .whereIn('id', ids)
        .orderBy('id');
      if (page.after !== undefined) void query.where('id', '>', page.after);
      const { rows, nextPageToken } = cutPage(await query.limit(page.limit + 1), page);
      return { organizations: rows.map((row) => organizationOnWire(row, identity)), nextPageToken };
    },
  };
}

function organizationOnWire(row: OrganizationRow, caller: Caller): Organization {
  const role = callerGrants(caller).find((grant) => grant.organizationId === row.id)?.role;
  return {
    id: row.id,
    name: row.name,
    ulaPrefix: row.ula_prefix,
    role: role === undefined ? 0 : roleOnWire[role],
    createTime: row.created_at,
  };
}

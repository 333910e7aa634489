import type { Clock } from '@nexodus/clock';
import { type Database, isUniqueViolation, type Transaction } from '@nexodus/database';
import { formatIpPrefix, GLOBAL_ID_BYTES, uniqueLocalPrefix } from '@nexodus/netip';
import { suffixedLabel, toLabel } from '../core/hostname.ts';
import type { ChangeLog } from '../database/change-log.ts';
import type { IpamOutbox } from '../ipam/ipam-outbox.ts';
import { defaultIpv4Prefix, insertVpc } from '../resources/vpc-creation.ts';
import type { AuditLog } from './audit-log.ts';
import type { Caller, RoleGrant } from './caller.ts';
import type { OidcIdentity } from './oidc-verifier.ts';

/** A user as stored. */
export interface UserRow {
  id: string;
  issuer: string;
  subject: string;
  email: string;
  email_verified: boolean;
  display_name: string;
  created_at: Date;
}

/** Users and their roles. */
export interface UserDirectory {
  /**
   * The user that an identity belongs to, with roles as they are now. The first login makes the user, the user's own
   * organization, its default VPC and the VPC's default security group, at once or not at all.
   */
  login(identity: OidcIdentity, source: string): Promise<Extract<Caller, { kind: 'user' }>>;
}

/** What the directory works with. */
export interface UserDirectoryDependencies {
  database: Database;
  changeLog: ChangeLog;
  ipamOutbox: IpamOutbox;
  audit: AuditLog;
  clock: Clock;
  randomBytes: (size: number) => Uint8Array;
}

/** How often another name or prefix is tried for a new organization before the fault is passed on. */
const maxAttempts = 5;

/** The directory on the apiserver's schema. */
export function createUserDirectory(dependencies: UserDirectoryDependencies): UserDirectory {
  const { database } = dependencies;
  return {
    login: async (identity, source) => {
      const known = await findUser(database, identity);
      const user = known ?? (await firstLogin(dependencies, identity, source));
      if (known !== undefined && hasChanged(known, identity)) {
        await database
          .knex<UserRow>('users')
          .where({ id: known.id })
          .update(statedColumns(identity));
      }
      return { kind: 'user', id: user.id, grants: await grantsOf(database, user.id), source };
    },
  };
}

function findUser(
  database: Database,
  { issuer, subject }: OidcIdentity,
): Promise<UserRow | undefined> {
  return database.knex<UserRow>('users').where({ issuer, subject }).first();
}

function statedColumns(
  identity: OidcIdentity,
): Pick<UserRow, 'email' | 'email_verified' | 'display_name'> {
  return {
    email: identity.email,
    email_verified: identity.emailVerified,
    display_name: identity.displayName,
  };
}

function hasChanged(user: UserRow, identity: OidcIdentity): boolean {
  return Object.entries(statedColumns(identity)).some(
    ([column, value]) => Reflect.get(user, column) !== value,
  );
}

async function grantsOf(database: Database, userId: string): Promise<RoleGrant[]> {
  const rows = await database
    .knex('memberships')
    .where({ user_id: userId })
    .orderBy('organization_id')
    .select('organization_id', 'role');
  return rows.map((row) => ({ organizationId: row.organization_id, role: row.role }));
}

async function firstLogin(
  dependencies: UserDirectoryDependencies,
  identity: OidcIdentity,
  source: string,
): Promise<UserRow> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await dependencies.database.transaction(
        (transaction) => insertUser(transaction, dependencies, { identity, source, attempt }),
        { name: 'first login' },
      );
    } catch (error) {
      // Another replica was first with this user, or the name or prefix of the organization is taken.
      if (!isUniqueViolation(error) || attempt >= maxAttempts) throw error;
      const user = await findUser(dependencies.database, identity);
      if (user !== undefined) return user;
    }
  }
}

async function insertUser(
  transaction: Transaction,
  dependencies: UserDirectoryDependencies,
  { identity, source, attempt }: { identity: OidcIdentity; source: string; attempt: number },
): Promise<UserRow> {
  const { knex } = transaction;
  const { issuer, subject } = identity;
  const [user] = await knex<UserRow>('users')
    .insert({ issuer, subject, ...statedColumns(identity) })
    .returning('*');
  if (user === undefined) throw new Error('PostgreSQL returned no row for an insert');
  const label = toLabel(identity.email.split('@')[0] || identity.displayName);
  const organizationId = await insertOrganization(transaction, {
    name: nameFor(attempt, label, dependencies.randomBytes),
    globalId: dependencies.randomBytes(GLOBAL_ID_BYTES),
  });
  await knex('memberships').insert({
    organization_id: organizationId,
    user_id: user.id,
    role: 'owner',
  });
  const caller: Caller = { kind: 'user', id: user.id, grants: [], source };
  const act = {
    action: 'organization.create',
    kind: 'organization',
    id: organizationId,
    organizationId,
  };
  await dependencies.audit.done(transaction, caller, act);
  await insertVpc(transaction, defaultVpcOf(organizationId), dependencies);
  return user;
}

/** The label, its second form, and from then on one that nobody has: thousands of people are called alike. */
function nameFor(
  attempt: number,
  label: string,
  randomBytes: (size: number) => Uint8Array,
): string {
  if (attempt === 1) return label;
  return suffixedLabel(label, attempt === 2 ? '2' : Buffer.from(randomBytes(4)).toString('hex'));
}

/** Makes an organization without members and returns its id. */
export async function insertOrganization(
  { knex }: Transaction,
  {
    name,
    globalId,
    isBootstrap = false,
  }: { name: string; globalId: Uint8Array; isBootstrap?: boolean },
): Promise<string> {
  const ulaPrefix = formatIpPrefix(uniqueLocalPrefix(globalId));
  const [row] = await knex('organizations')
    .insert({ name, ula_prefix: ulaPrefix, bootstrap: isBootstrap })
    .returning('id');
  return row.id;
}

/** The VPC that devices of an organization join when none is named. */
export function defaultVpcOf(organizationId: string): Parameters<typeof insertVpc>[1] {
  return {
    organizationId,
    name: 'default',
    description: '',
    ipv4Prefix: defaultIpv4Prefix,
    ipv6Prefix: undefined,
    isDefault: true,
  };
}

/**
 * Who may bring a device into which VPC: the holder of a registration key, or a user.
 */
import type { Database } from '@nexodus/database';
import { RegistrationKeyError, parseRegistrationKey } from '@nexodus/device-identity';
import { failedPrecondition, notFound, unauthenticated } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import type { Actor } from '../identity/audit-log.ts';
import type { Authorizer } from '../identity/authorizer.ts';
import { type Caller, callerGrants } from '../identity/caller.ts';
import type { RegistrationKeyRow } from '../resources/registration-key-service.ts';
import type { VpcRow } from '../resources/vpc-creation.ts';

/** What entitles a device to join, as far as it could be read without looking anything up. */
export type Entitlement =
  | { kind: 'registration-key'; hash: Buffer }
  | { kind: 'user'; caller: Extract<Caller, { kind: 'user' }> };

/** A VPC that a device may join, and what it gets there. */
export interface Admission {
  vpc: VpcRow;
  /** The key that is used; undefined for a user. */
  key: RegistrationKeyRow | undefined;
  ownerUserId: string | null;
  /** Whom the audit log names. */
  actor: Actor;
}

/** The credential of an Enroll request. */
export type EnrolCredential =
  | { $case: 'registrationKey'; value: string }
  | { $case: 'userId'; value: string }
  | undefined;

/**
 * Reads the credential.
 *
 * @throws {RpcError} UNAUTHENTICATED for none, or one that is not of its form
 */
export function readEntitlement(credential: EnrolCredential, caller: Caller): Entitlement {
  if (credential?.$case === 'registrationKey') {
    try {
      return {
        kind: 'registration-key',
        hash: Buffer.from(parseRegistrationKey(credential.value).hash),
      };
    } catch (error) {
      if (error instanceof RegistrationKeyError)
        throw unauthenticated('REGISTRATION_KEY_UNKNOWN', error.message);
      throw error;
    }
  }
  if (credential?.$case === 'userId' && caller.kind === 'user' && caller.id === credential.value) {
    return { kind: 'user', caller };
  }
  throw unauthenticated(
    'CREDENTIAL_MISSING',
    'enrol with a registration key, or log in as the user that is named',
  );
}

/** Where the device asked to go. */
export interface Destination {
  /** VPC by id or name; empty for any. */
  vpc: string;
  /** Organization by id or name; empty for any. */
  organization: string;
}

/**
 * Finds the VPC that the entitlement leads to.
 *
 * @throws {RpcError} as AgentService.Enroll says
 */
export async function admit(
  dependencies: { database: Database; authorizer: Authorizer; now: Date },
  entitlement: Entitlement,
  destination: Destination,
  source: string,
): Promise<Admission> {
  return entitlement.kind === 'registration-key'
    ? admitByKey(dependencies, entitlement.hash, destination, source)
    : admitUser(dependencies, entitlement.caller, destination);
}

async function admitByKey(
  { database, now }: { database: Database; now: Date },
  hash: Buffer,
  destination: Destination,
  source: string,
): Promise<Admission> {
  const key = await database.knex<RegistrationKeyRow>('registration_keys').where({ hash }).first();
  if (key === undefined || key.deleted_at !== null) {
    throw unauthenticated(
      'REGISTRATION_KEY_UNKNOWN',
      'this registration key is not known here: create another',
    );
  }
  if (key.expires_at <= now) {
    throw unauthenticated(
      'REGISTRATION_KEY_EXPIRED',
      'this registration key has expired: create another',
    );
  }
  const vpc = await database.knex<VpcRow>('vpcs').where({ id: key.vpc_id }).first();
  if (vpc === undefined) throw notFound('vpc', key.vpc_id);
  if (destination.vpc !== '' && destination.vpc !== vpc.id && destination.vpc !== vpc.name) {
    throw failedPrecondition(
      'VPC_MISMATCH',
      `this registration key joins the VPC "${vpc.name}" only`,
    );
  }
  const actor: Actor = { kind: 'registration_key', id: key.prefix, source };
  return { vpc, key, ownerUserId: key.owner_user_id, actor };
}

async function admitUser(
  { database, authorizer }: { database: Database; authorizer: Authorizer },
  caller: Extract<Caller, { kind: 'user' }>,
  destination: Destination,
): Promise<Admission> {
  const organizationIds = await matchingOrganizations(database, caller, destination.organization);
  const query = database.knex<VpcRow>('vpcs').whereIn('organization_id', organizationIds);
  if (destination.vpc === '') void query.where({ is_default: true });
  else if (isUuid(destination.vpc)) void query.where({ id: destination.vpc });
  else void query.where({ name: destination.vpc });
  const [vpc, ...others] = await query;
  if (vpc === undefined) throw notFound('vpc', destination.vpc);
  if (others.length > 0) {
    throw failedPrecondition(
      'VPC_AMBIGUOUS',
      'you may join several VPCs: name the organization and the VPC',
      {
        vpcs: [vpc, ...others].map((candidate) => candidate.id).join(' '),
      },
    );
  }
  await authorizer.require(caller, 'device.enroll', {
    kind: 'vpc',
    id: vpc.id,
    name: destination.vpc,
    organizationId: vpc.organization_id,
  });
  return { vpc, key: undefined, ownerUserId: caller.id, actor: caller };
}

async function matchingOrganizations(
  database: Database,
  caller: Caller,
  wanted: string,
): Promise<string[]> {
  const ids = callerGrants(caller).map((grant) => grant.organizationId);
  if (wanted === '') return ids;
  const rows: { id: string }[] = await database
    .knex('organizations')
    .whereIn('id', ids)
    .where(isUuid(wanted) ? { id: wanted } : { name: wanted })
    .select('id');
  if (rows.length === 0) throw notFound('organization', wanted);
  return rows.map((row) => row.id);
}

import { randomBytes } from 'node:crypto';
import { type Database, isUniqueViolation } from '@nexodus/database';
import { GLOBAL_ID_BYTES } from '@nexodus/netip';
import { createChangeLog } from './database/change-log.ts';
import { initialSchema } from './database/initial-schema.ts';
import { defaultVpcOf, insertOrganization } from './identity/user-directory.ts';
import { type IpamOutbox, putIpamOrder } from './ipam/ipam-outbox.ts';
import type { ResourceDependencies } from './resources/dependencies.ts';
import { insertVpc } from './resources/vpc-creation.ts';

/** What a first start makes. */
export interface BootstrapSeed {
  organizationName: string;
  /** The owner, by what the issuer will say of it at login. */
  owner: { issuer: string; subject: string; email: string; displayName: string };
  /** Name and Ed25519 public key of the service account, whose private key this process never sees again. */
  serviceAccount: { name: string; publicKey: Uint8Array };
}

/** What a first start made. */
export interface BootstrapResult {
  organizationId: string;
  vpcId: string;
  /** Undefined when the account was deleted since. */
  serviceAccountId: string | undefined;
  /** Whether the account may authenticate. */
  isServiceAccountEnabled: boolean;
}

/** Makes, or finds, what a first start needs. */
export interface Bootstrap {
  /** What is there, if anything. */
  find(): Promise<BootstrapResult | undefined>;
  /** Makes all of it in one transaction, or returns what was made before. */
  ensure(seed: BootstrapSeed): Promise<BootstrapResult>;
  /**
   * Makes the users of one issuer those of another, for an issuer that got another URL and is otherwise the same. Users
   * whom the other has already stay as they are.
   */
  renameIssuer(from: string, to: string): Promise<void>;
}

/** What the bootstrap works with. */
type BootstrapDependencies = Pick<
  ResourceDependencies,
  'database' | 'changeLog' | 'randomBytes'
> & {
  ipamOutbox: Pick<IpamOutbox, 'put'>;
};

/**
 * The bootstrap for a program that runs beside the apiservers, or before the first of them: it brings the schema up to
 * date, and running apiservers find what it made at their next look, within a second.
 */
export async function openBootstrap(database: Database): Promise<Bootstrap> {
  await database.migrate([initialSchema]);
  const changeLog = createChangeLog(database, { publish: () => false });
  return createBootstrap({ database, changeLog, ipamOutbox: { put: putIpamOrder }, randomBytes });
}

/** The bootstrap on the apiserver's schema. */
export function createBootstrap(dependencies: BootstrapDependencies): Bootstrap {
  const { database } = dependencies;
  const find = async (): Promise<BootstrapResult | undefined> => {
    const { knex } = database;
    const organization = await knex('organizations').where({ bootstrap: true }).first('id');
    if (organization === undefined) return undefined;
    const ofOrganization = { organization_id: organization.id };
    const vpc = await knex('vpcs')
      .where({ ...ofOrganization, is_default: true })
      .first('id');
    const account = await knex('service_accounts')
      .where({ ...ofOrganization, bootstrap: true })
      .first('id', 'disabled');
    return {
      organizationId: organization.id,
      vpcId: vpc.id,
      serviceAccountId: account?.id,
      isServiceAccountEnabled: account?.disabled === false,
    };
  };
  const makeOrFind = async (seed: BootstrapSeed): Promise<BootstrapResult> => {
    try {
      return await make(dependencies, seed);
    } catch (error) {
      // Another replica was first, unless a name or key of the seed is taken.
      const found = isUniqueViolation(error) ? await find() : undefined;
      if (found === undefined) throw error;
      return found;
    }
  };
  return {
    find,
    ensure: async (seed) => (await find()) ?? makeOrFind(seed),
    renameIssuer: async (from, to) => {
      const known = database.knex('users').where({ issuer: to }).select('subject');
      await database
        .knex('users')
        .where({ issuer: from })
        .whereNotIn('subject', known)
        .update({ issuer: to });
    },
  };
}

function make(dependencies: BootstrapDependencies, seed: BootstrapSeed): Promise<BootstrapResult> {
  const { owner, serviceAccount } = seed;
  return dependencies.database.transaction(
    async (transaction) => {
      const { knex } = transaction;
      const globalId = dependencies.randomBytes(GLOBAL_ID_BYTES);
      const organizationId = await insertOrganization(transaction, {
        name: seed.organizationName,
        globalId,
        isBootstrap: true,
      });
      const [user] = await knex('users')
        .insert({
          issuer: owner.issuer,
          subject: owner.subject,
          email: owner.email,
          email_verified: true,
          display_name: owner.displayName,
        })
        .returning('id');
      await knex('memberships').insert({
        organization_id: organizationId,
        user_id: user.id,
        role: 'owner',
      });
      const [account] = await knex('service_accounts')
        .insert({
          organization_id: organizationId,
          name: serviceAccount.name,
          role: 'admin',
          public_key: Buffer.from(serviceAccount.publicKey),
          bootstrap: true,
        })
        .returning('id');
      const vpc = await insertVpc(transaction, defaultVpcOf(organizationId), dependencies);
      return {
        organizationId,
        vpcId: vpc.id,
        serviceAccountId: account.id,
        isServiceAccountEnabled: true,
      };
    },
    { name: 'bootstrap' },
  );
}

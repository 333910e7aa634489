import type { Knex } from 'knex';
import { escapeLiteral } from 'pg';

import { createPool, quoteIdentifier } from './connection-settings.ts';
import type { DatabaseConnection } from './connection-settings.ts';
import { ADVISORY_LOCK_SPACE } from './migrations.ts';

/** What one service gets. */
export interface SchemaBootstrap {
  /** A connection that may create roles and schemas in the database. */
  readonly admin: DatabaseConnection;
  readonly schema: string;
  /** The role that will own the schema and that the service connects as. */
  readonly role: string;
  /** Set as the role's password; without it the server's own rules say who may connect (such as `peer`). */
  readonly password?: string;
  /** Extensions the schema builds on, such as `btree_gist`; they are made in `public`. */
  readonly extensions?: readonly string[];
}

/**
 * Makes the role and the schema of one service if they are not there yet. The role may log in and own its schema, and
 * nothing else: no other schema, no new roles or databases. Safe to call again and by several replicas at once.
 */
export async function bootstrapSchema(options: SchemaBootstrap): Promise<void> {
  const knex = createPool({
    connection: options.admin,
    applicationName: 'nexodus-bootstrap',
    poolMax: 1,
    searchPath: ['public'],
  });
  try {
    await knex.transaction(async (trx) => {
      // One lock for all schemas: roles belong to the whole cluster.
      await trx.raw('SELECT pg_advisory_xact_lock(?, 0)', [ADVISORY_LOCK_SPACE]);
      await ensureRole(trx, options);
      await ensureSchema(trx, options);
    });
  } finally {
    await knex.destroy();
  }
}

async function ensureRole(
  trx: Knex.Transaction,
  { role, password }: SchemaBootstrap,
): Promise<void> {
  const name = quoteIdentifier(role);
  const existing = await trx('pg_catalog.pg_roles').where({ rolname: role }).first('oid');
  if (existing === undefined) {
    await trx.raw(
      `CREATE ROLE ${name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS`,
    );
  }
  if (password !== undefined)
    await run(trx, `ALTER ROLE ${name} PASSWORD ${escapeLiteral(password)}`);
  // Whoever is no superuser must belong to a role to give it something.
  const [self] = await trx('pg_catalog.pg_roles')
    .whereRaw('rolname = current_user')
    .select('rolsuper');
  if (self?.rolsuper !== true) await trx.raw(`GRANT ${name} TO CURRENT_USER`);
}

async function ensureSchema(trx: Knex.Transaction, options: SchemaBootstrap): Promise<void> {
  const schema = quoteIdentifier(options.schema);
  const role = quoteIdentifier(options.role);
  await trx.raw(`CREATE SCHEMA IF NOT EXISTS ${schema} AUTHORIZATION ${role}`);
  await trx.raw(`REVOKE ALL ON SCHEMA ${schema} FROM PUBLIC`);
  await trx.raw('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
  for (const extension of options.extensions ?? []) {
    await trx.raw(`CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(extension)} SCHEMA public`);
  }
}

/** Without bindings, question marks in the text would be taken for them. */
async function run(trx: Knex.Transaction, sql: string): Promise<void> {
  await trx.raw(sql.replaceAll('?', '\\?'));
}

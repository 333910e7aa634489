import type { Knex } from 'knex';

/** One step of a schema. A step that was released never changes; the next step follows it. */
export interface Migration {
  /** Unique, and in ascending order, such as `0001-leases`. */
  readonly name: string;
  /** Runs inside the migration transaction, with the schema first in the search path. */
  up(knex: Knex): PromiseLike<unknown>;
}

/** First key of the advisory locks this package takes, so that they meet nobody else's. */
export const ADVISORY_LOCK_SPACE = 0x6e_78_64_62;

/**
 * Brings `schema` up to the last of `migrations`. Any number of replicas may call this at once: an advisory lock lets
 * one work while the others wait and then find nothing to do. All steps are one transaction, so a crash leaves the
 * schema as it was. Steps the database has and the list does not are left alone: an older program runs on a newer
 * schema.
 *
 * @returns the names of the steps that were run.
 */
export async function migrate(
  knex: Knex,
  schema: string,
  migrations: readonly Migration[],
): Promise<string[]> {
  requireAscending(migrations);
  return knex.transaction(async (trx) => {
    await trx.raw('SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0');
    await trx.raw('SET LOCAL idle_in_transaction_session_timeout = 0');
    await trx.raw('SELECT pg_advisory_xact_lock(?, hashtext(?))', [ADVISORY_LOCK_SPACE, schema]);
    const [, names]: [unknown, string[]] = await trx.migrate.latest({
      tableName: 'migrations',
      schemaName: schema,
      disableMigrationsListValidation: true,
      migrationSource: sourceOf(migrations),
    });
    return names;
  });
}

function sourceOf(migrations: readonly Migration[]): Knex.MigrationSource<Migration> {
  return {
    getMigrations: () => Promise.resolve([...migrations]),
    getMigrationName: (migration) => migration.name,
    getMigration: (migration) =>
      Promise.resolve({
        up: async (knex) => void (await migration.up(knex)),
        down: () => Promise.reject(new Error('steps are not taken back; write the next one')),
      }),
  };
}

function requireAscending(migrations: readonly Migration[]): void {
  for (const [index, { name }] of migrations.entries()) {
    const previous = migrations[index - 1]?.name;
    if (previous !== undefined && previous >= name)
      throw new Error(`migration ${name} must sort after ${previous}`);
  }
}

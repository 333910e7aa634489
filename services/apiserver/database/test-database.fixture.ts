import { systemClock } from '@nexodus/clock';
import { type Database, openDatabase } from '@nexodus/database';
import { startTestPostgres } from '@nexodus/embedded-postgres/testing';
import { initialSchema } from './initial-schema.ts';

/** The schema of the apiserver in a PostgreSQL of its own. */
export interface TestDatabase {
  readonly database: Database;
  /** Closes the database and stops its PostgreSQL. */
  stop(): Promise<void>;
}

/** Starts a PostgreSQL and makes the schema. */
export async function startTestDatabase(): Promise<TestDatabase> {
  await using stack = new AsyncDisposableStack();
  const postgres = await startTestPostgres();
  stack.defer(() => postgres.stop());
  const database = openDatabase({
    connection: await postgres.createDatabase(),
    schema: 'apiserver',
    applicationName: 'test',
    clock: systemClock,
    random: Math.random,
  });
  stack.defer(() => database.close());
  await database.knex.raw('CREATE SCHEMA apiserver');
  await database.migrate([initialSchema]);
  const owned = stack.move();
  return { database, stop: () => owned.disposeAsync() };
}

/**
 * Makes the role and the schema of each service in one PostgreSQL database:
 *
 *     node deploy/prepare-database.ts --url postgres://postgres@HOST/nexodus --password-file FILE --secrets DIR
 *
 * May run again at any time: it makes what is missing and sets the passwords anew. The services make their tables
 * themselves when they start. This file imports `@nexodus/database` and nothing else of the project, so that the image of
 * every service with a database can run it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bootstrapSchema } from '@nexodus/database';

/** Who has a schema in the database; its role has the same name. Keycloak keeps its own tables. */
export const databaseRoles = ['apiserver', 'ipam', 'keycloak'] as const;

/** What to prepare. */
export interface DatabaseOptions {
  /** The database, as a role that may make roles and schemas. */
  readonly url: string;
  /** Folder with `<role>.database-password` for each of `databaseRoles`. */
  readonly secretsFolder: string;
}

/** Makes roles and schemas, and sets the roles' passwords. Idempotent. */
export async function prepareDatabase({ url, secretsFolder }: DatabaseOptions): Promise<void> {
  for (const role of databaseRoles) {
    const file = join(secretsFolder, `${role}.database-password`);
    const password = (await readFile(file, 'utf8')).trim();
    if (password === '') throw new Error(`${file} is empty`);
    await bootstrapSchema({ admin: url, schema: role, role, password });
  }
}

async function run(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      'password-file': { type: 'string' },
      secrets: { type: 'string' },
    },
  });
  if (values.url === undefined || values.secrets === undefined)
    throw new Error('say which database and which passwords with --url URL and --secrets DIR');
  const url = new URL(values.url);
  const passwordFile = values['password-file'];
  if (passwordFile !== undefined) url.password = (await readFile(passwordFile, 'utf8')).trim();
  await prepareDatabase({ url: url.href, secretsFolder: values.secrets });
  process.stdout.write(`schemas and roles are there: ${databaseRoles.join(', ')}\n`);
}

if (import.meta.main) {
  await run().catch((error: unknown) => {
    const what = error instanceof Error ? error.message : String(error);
    process.stderr.write(`prepare-database: ${what}\n`);
    process.exitCode = 1;
  });
}

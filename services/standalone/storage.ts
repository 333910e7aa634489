import type { Clock } from '@nexodus/clock';
import {
  bootstrapSchema,
  type Database,
  type DatabaseConnection,
  isUnavailable,
  openDatabase,
} from '@nexodus/database';
import { startEmbeddedPostgres } from '@nexodus/embedded-postgres';
import { databaseConnection } from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import type { StandaloneSettings } from './settings.ts';

/** Schemas, each owned by a role of the same name. */
type Schema = 'apiserver' | 'ipam' | 'oidc';

const schemas: readonly Schema[] = ['apiserver', 'ipam', 'oidc'];
const databaseName = 'nexodus';

/** A PostgreSQL with a schema for each service. */
export interface Storage {
  /** Opens the schema of a service; whoever opens it closes it. */
  open(schema: Schema): Database;
  stop(): Promise<void>;
}

/** How it is opened. */
export interface StorageOptions {
  settings: StandaloneSettings['database'];
  dataDir: string;
  clock: Clock;
  logger: Logger;
  /** Called when the embedded server ends by itself. */
  onLost: (error: Error) => void;
}

/**
 * Starts the embedded PostgreSQL, or uses the one that the settings name, and makes schemas and roles.
 *
 * @throws with one line when it cannot be started or reached
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { settings } = options;
  const server = settings === undefined ? await startEmbedded(options) : external(settings);
  try {
    await Promise.all(
      schemas.map((schema) => bootstrapSchema({ admin: server.admin, schema, role: schema })),
    );
  } catch (error) {
    await server.stop();
    if (settings === undefined || !isUnavailable(error)) throw error;
    const detail = error instanceof Error ? error.message : String(error);
    throw new Error(
      `the database ${settings.url} cannot be reached (${detail}): start it, or change database.url (NEXODUS_DATABASE_URL)`,
      { cause: error },
    );
  }
  const { clock, logger } = options;
  return {
    open: (schema) =>
      openDatabase({
        connection: server.connectionAs(schema),
        schema,
        role: schema,
        applicationName: `nexodus-${schema}`,
        clock,
        random: Math.random,
        logger,
      }),
    stop: server.stop,
  };
}

interface DatabaseServer {
  admin: DatabaseConnection;
  connectionAs(role: string): DatabaseConnection;
  stop: () => Promise<void>;
}

async function startEmbedded({ dataDir, logger, onLost }: StorageOptions): Promise<DatabaseServer> {
  const postgres = await startEmbeddedPostgres({ dataDir, logger, onUnexpectedExit: onLost });
  try {
    return {
      admin: await postgres.createDatabase(databaseName),
      connectionAs: (role) => postgres.url(databaseName, role),
      stop: () => postgres.stop(),
    };
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}

function external(settings: NonNullable<StandaloneSettings['database']>): DatabaseServer {
  const connection = databaseConnection(settings);
  return { admin: connection, connectionAs: () => connection, stop: () => Promise.resolve() };
}

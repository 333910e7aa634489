import { chmod, mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { Client } from 'pg';

import { ADMIN_ROLE, ensureCluster, requireFreeSpace, writeAccessRules } from './cluster-files.ts';
import { lockDataDirectory } from './data-directory-lock.ts';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { findPostgresBinaries, openBinariesToOthers } from './postgres-binaries.ts';
import { startPostmaster } from './postmaster.ts';
import type { Postmaster } from './postmaster.ts';
import { endResidentProcesses } from './resident-processes.ts';
import { LOG_LINE_PREFIX, ServerLog } from './server-log.ts';
import type { EmbeddedPostgresLogger } from './server-log.ts';
import { chooseServerUser, createServerView } from './server-view.ts';
import { makeSocketDirectory, SOCKET_PORT } from './socket-directory.ts';
import type { SocketDirectory } from './socket-directory.ts';
import { systemErrorCode } from './system-error.ts';

/** Room for the write-ahead log (16 MiB a segment) and a new cluster (40 MiB). */
const MINIMUM_FREE_BYTES = 128 * 2 ** 20;

const DEFAULT_MAX_CONNECTIONS = 200;

const DUPLICATE_DATABASE_STATE = '42P04';

/** How an embedded PostgreSQL is started. */
export interface EmbeddedPostgresOptions {
  /** The data directory of the service; the cluster lies in `<dataDir>/postgres` and stays there. Made when missing. */
  readonly dataDir: string;
  /** Takes the server's own log lines; none by default. */
  readonly logger?: EmbeddedPostgresLogger;
  /** `max_connections`, 200 by default. */
  readonly maxConnections?: number;
  /** Free space below which it refuses to start, in bytes; 128 MiB by default. */
  readonly minimumFreeBytes?: number;
  /** Called once when the server ends although nobody stopped it. */
  readonly onUnexpectedExit?: (error: EmbeddedPostgresError) => void;
}

/** Connection options in the form `pg` takes them. There is no password: the kernel vouches for the peer. */
export interface EmbeddedPostgresConnection {
  /** The directory of the unix socket. */
  readonly host: string;
  /** Names the socket file. */
  readonly port: number;
  /** A superuser. Other roles may be used by the same peer. */
  readonly user: string;
  readonly database: string;
}

/** A running PostgreSQL 18. */
export interface EmbeddedPostgres {
  /** To the database `postgres`, as superuser. */
  readonly connection: EmbeddedPostgresConnection;
  /** The process id of the postmaster. */
  readonly pid: number;
  /** The same as a URL, to the database and as the role named (`postgres` and the superuser by default). */
  url(database?: string, role?: string): string;
  /** Makes a database if it is not there yet and returns its URL as superuser. */
  createDatabase(name: string): Promise<string>;
  /** Fast shutdown, and gives the data directory up. Idempotent. */
  stop(): Promise<void>;
}

/** What only the two entries of this package decide. */
export interface ClusterTuning {
  /** Whether what is committed outlives a crash of the machine. */
  readonly isDurable: boolean;
  /** Further server settings. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Starts a server on `<dataDir>/postgres`; see `startEmbeddedPostgres`. */
export async function startCluster(
  options: EmbeddedPostgresOptions,
  tuning: ClusterTuning,
): Promise<EmbeddedPostgres> {
  const home = resolve(options.dataDir, 'postgres');
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await chmod(home, 0o700);
    const lock = await lockDataDirectory(join(home, 'lock'));
    try {
      const { postmaster, socket } = await startLocked(home, options, tuning);
      const release = (): Promise<void> => socket.remove().finally(() => lock.release());
      return createHandle(postmaster, socket.path, release);
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    throw asEmbeddedPostgresError(error, home);
  }
}

async function startLocked(
  home: string,
  options: EmbeddedPostgresOptions,
  tuning: ClusterTuning,
): Promise<{ postmaster: Postmaster; socket: SocketDirectory }> {
  const clusterDirectory = join(home, 'data');
  const user = await chooseServerUser(clusterDirectory);
  await requireFreeSpace(home, options.minimumFreeBytes ?? MINIMUM_FREE_BYTES);
  const binaries = findPostgresBinaries();
  if (user.uid !== process.getuid?.()) await openBinariesToOthers(binaries);
  await clearRemains(clusterDirectory, options.logger);
  const socket = await makeSocketDirectory(home, user);
  try {
    const directories = { binaries, clusterDirectory, socketDirectory: socket.path };
    await ensureCluster({ home, directories, user, isDurable: tuning.isDurable });
    const view = createServerView(directories, user);
    await writeAccessRules(clusterDirectory, user, view.clientAccount);
    const settings = {
      ...serverSettings(view.socketDirectory, options.maxConnections),
      ...tuning.settings,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const postmaster = await startPostmaster({
      command: view.command('postgres', ['-D', view.clusterDirectory, ...args]),
      clusterDirectory,
      log: new ServerLog(options.logger),
      onUnexpectedExit: options.onUnexpectedExit,
    });
    return { postmaster, socket };
  } catch (error) {
    await socket.remove();
    throw error;
  }
}

/** Nothing lives in the directory afterwards, so a pid file that is still there names nobody of ours. */
async function clearRemains(
  clusterDirectory: string,
  logger: EmbeddedPostgresLogger | undefined,
): Promise<void> {
  await endResidentProcesses(clusterDirectory, (processes) =>
    logger?.warn({ processes }, 'an earlier run left a postgres behind: it is ended first'),
  );
  await rm(join(clusterDirectory, 'postmaster.pid'), { force: true });
}

function serverSettings(
  socketDirectory: string,
  maxConnections = DEFAULT_MAX_CONNECTIONS,
): Record<string, string> {
  return {
    listen_addresses: '',
    unix_socket_directories: `"${socketDirectory.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    port: String(SOCKET_PORT),
    max_connections: String(maxConnections),
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: LOG_LINE_PREFIX,
    // Statements can quote what people typed.
    log_min_error_statement: 'panic',
    log_timezone: 'UTC',
    timezone: 'UTC',
  };
}

function createHandle(
  postmaster: Postmaster,
  host: string,
  release: () => Promise<void>,
): EmbeddedPostgres {
  const connection = { host, port: SOCKET_PORT, user: ADMIN_ROLE, database: 'postgres' };
  const url = (database = connection.database, role = connection.user): string =>
    `postgresql://${encodeURIComponent(role)}@${encodeURIComponent(host)}/${encodeURIComponent(database)}`;
  let stopped: Promise<void> | undefined;
  return {
    connection,
    pid: postmaster.pid,
    url,
    createDatabase: async (name) => {
      await createDatabase(connection, name);
      return url(name);
    },
    stop: () => (stopped ??= postmaster.stop().then(release)),
  };
}

async function createDatabase(connection: EmbeddedPostgresConnection, name: string): Promise<void> {
  const client = new Client(connection);
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } catch (error) {
    if (systemErrorCode(error) !== DUPLICATE_DATABASE_STATE) throw error;
  } finally {
    await client.end();
  }
}

function asEmbeddedPostgresError(error: unknown, home: string): EmbeddedPostgresError {
  if (error instanceof EmbeddedPostgresError) return error;
  switch (systemErrorCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new EmbeddedPostgresError(
        'DISK_FULL',
        `no space left in ${home}; free some and start again`,
        { cause: error },
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new EmbeddedPostgresError(
        'NOT_PERMITTED',
        `${home} cannot be written by this user; choose another data directory`,
        {
          cause: error,
        },
      );
    default:
      return new EmbeddedPostgresError(
        'START_FAILED',
        `PostgreSQL cannot be started in ${home}: ${String(error)}`,
        {
          cause: error,
        },
      );
  }
}

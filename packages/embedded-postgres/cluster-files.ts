import {
  chmod,
  chown,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';

import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { POSTGRES_MAJOR_VERSION } from './postgres-binaries.ts';
import { runProgram } from './postmaster.ts';
import { ServerLog } from './server-log.ts';
import { createServerView } from './server-view.ts';
import type { ServerDirectories } from './server-view.ts';
import { systemErrorCode } from './system-error.ts';

/** The superuser of the cluster and the owner of its databases. */
export const ADMIN_ROLE = 'nexodus';

const PEER_MAP = 'nexodus';

/** What making a cluster is done with. */
export interface ClusterOptions {
  /** `<data directory>/postgres`. */
  readonly home: string;
  readonly directories: ServerDirectories;
  readonly user: { uid: number; gid: number };
  /** Whether the new files are forced to disk before the cluster counts as made. */
  readonly isDurable: boolean;
}

/**
 * Makes the cluster if there is none. It is made under another name and renamed when complete, so that one found under
 * its own name is whole whenever the power failed.
 *
 * @throws EmbeddedPostgresError `INCOMPATIBLE_VERSION` when there is one of another major version.
 */
export async function ensureCluster(options: ClusterOptions): Promise<void> {
  const { home, directories, user } = options;
  const version = await readClusterVersion(directories.clusterDirectory);
  if (version === POSTGRES_MAJOR_VERSION) return;
  if (version !== undefined) {
    throw new EmbeddedPostgresError(
      'INCOMPATIBLE_VERSION',
      `${directories.clusterDirectory} was written by PostgreSQL ${version} and this is ${POSTGRES_MAJOR_VERSION}; ` +
        'dump it with the old version and restore it here, or choose another data directory',
    );
  }
  const draft = join(home, 'data.new');
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  await chown(draft, user.uid, user.gid);
  const view = createServerView({ ...directories, clusterDirectory: draft }, user);
  const sync = options.isDurable ? [] : ['--no-sync'];
  await runProgram(
    view.command('initdb', [...initdbArguments(view.clusterDirectory), ...sync]),
    new ServerLog(undefined),
  );
  await rename(draft, directories.clusterDirectory);
  await syncDirectory(home);
}

/**
 * Writes who may connect: whoever runs this process, as any role, through the socket. The kernel vouches for the peer
 * (`peer` authentication), so that there is no password to keep.
 */
export async function writeAccessRules(
  clusterDirectory: string,
  user: { uid: number; gid: number },
  clientAccount: string,
): Promise<void> {
  const files = [
    ['pg_hba.conf', `local all all peer map=${PEER_MAP}\n`],
    ['pg_ident.conf', `${PEER_MAP} "${clientAccount}" all\n`],
  ] as const;
  for (const [name, content] of files) {
    const path = join(clusterDirectory, name);
    await writeFile(`${path}.new`, content, { mode: 0o600 });
    await chmod(`${path}.new`, 0o600);
    await chown(`${path}.new`, user.uid, user.gid);
    await rename(`${path}.new`, path);
  }
}

/**
 * Refuses to start on a nearly full file system: PostgreSQL panics when it cannot extend its log.
 *
 * @throws EmbeddedPostgresError `DISK_FULL`
 */
export async function requireFreeSpace(directory: string, minimumFreeBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const freeBytes = bavail * bsize;
  if (freeBytes >= minimumFreeBytes) return;
  throw new EmbeddedPostgresError(
    'DISK_FULL',
    `${directory} has ${toMebibytes(freeBytes)} MiB left and PostgreSQL needs ${toMebibytes(minimumFreeBytes)} MiB; ` +
      'free some space or choose another data directory',
  );
}

async function readClusterVersion(clusterDirectory: string): Promise<string | undefined> {
  try {
    return (await readFile(join(clusterDirectory, 'PG_VERSION'), 'utf8')).trim();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function initdbArguments(clusterDirectory: string): string[] {
  return [
    `--pgdata=${clusterDirectory}`,
    `--username=${ADMIN_ROLE}`,
    '--auth-local=peer',
    '--auth-host=reject',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
  ];
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function toMebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}

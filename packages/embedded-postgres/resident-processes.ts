import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { systemErrorCode } from './system-error.ts';

/** How often `/proc` is read while waiting for processes to end. A scan costs a few milliseconds. */
const SCAN_INTERVAL_MS = 50;

/** What a fast shutdown may take (it writes a checkpoint) before the orphan is told to stop at once. */
const FAST_SHUTDOWN_MS = 30_000;

/** What an immediate shutdown may take: PostgreSQL kills its own children after 5 s. */
const IMMEDIATE_SHUTDOWN_MS = 10_000;

/**
 * Ends every PostgreSQL process that lives in `clusterDirectory`, a fast shutdown first. The caller holds the data
 * directory's lock, so whatever lives there was left behind by an owner that died.
 *
 * PostgreSQL's processes work inside the data directory, and a working directory is told apart by device and inode.
 * Unlike the number in `postmaster.pid` that cannot be mistaken for a later process that was given the same number,
 * and it also shows backends that outlive a killed postmaster.
 *
 * @param onFound called with how many processes there are, before any is told to end; not where there is none.
 * @throws EmbeddedPostgresError `DATA_DIRECTORY_IN_USE` when they do not end.
 */
export async function endResidentProcesses(
  clusterDirectory: string,
  onFound: (processes: number) => void,
): Promise<void> {
  const found = await residentProcesses(clusterDirectory);
  if (found.length === 0) return;
  onFound(found.length);
  const postmaster = await postmasterPid(clusterDirectory);
  if (postmaster !== undefined && found.includes(postmaster)) signal(postmaster, 'SIGINT');
  if (await allEnded(clusterDirectory, FAST_SHUTDOWN_MS)) return;
  for (const pid of await residentProcesses(clusterDirectory)) signal(pid, 'SIGQUIT');
  if (await allEnded(clusterDirectory, IMMEDIATE_SHUTDOWN_MS)) return;
  const left = await residentProcesses(clusterDirectory);
  throw new EmbeddedPostgresError(
    'DATA_DIRECTORY_IN_USE',
    `PostgreSQL processes of an earlier run do not end (${left.join(', ')}); end them and start again`,
  );
}

/** The process id in the first line of `postmaster.pid`, undefined when there is no such file. */
async function postmasterPid(clusterDirectory: string): Promise<number | undefined> {
  try {
    const [line = ''] = (await readFile(join(clusterDirectory, 'postmaster.pid'), 'utf8')).split(
      '\n',
    );
    const pid = Number.parseInt(line, 10);
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function residentProcesses(clusterDirectory: string): Promise<number[]> {
  const home = await stat(clusterDirectory, { bigint: true }).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (home === undefined) return [];
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const residents = await Promise.all(
    names.map(async (name) => {
      try {
        const cwd = await stat(`/proc/${name}/cwd`, { bigint: true });
        if (cwd.ino !== home.ino || cwd.dev !== home.dev) return [];
        const program = await readFile(`/proc/${name}/comm`, 'utf8');
        return program.trim() === 'postgres' ? [Number(name)] : [];
      } catch {
        // Ended meanwhile, or another user's process, which cannot work inside a directory of mode 0700.
        return [];
      }
    }),
  );
  return residents.flat();
}

async function allEnded(clusterDirectory: string, withinMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs <= withinMs; waitedMs += SCAN_INTERVAL_MS) {
    if ((await residentProcesses(clusterDirectory)).length === 0) return true;
    await delay(SCAN_INTERVAL_MS);
  }
  return false;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (systemErrorCode(error) !== 'ESRCH') throw error;
  }
}

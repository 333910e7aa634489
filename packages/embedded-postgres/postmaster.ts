import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import type { ServerLog } from './server-log.ts';
import { systemErrorCode } from './system-error.ts';

/** How often the status file is read while the server starts. */
const STATUS_INTERVAL_MS = 10;

/** What replaying the write-ahead log after a crash may take: `max_wal_size` is 1 GB. */
const START_TIMEOUT_MS = 300_000;

/** What a fast shutdown may take before the server is told to stop at once (and to recover at the next start). */
const STOP_TIMEOUT_MS = 30_000;

/** Line of `postmaster.pid` with the server's state, counted from 0 (`LOCK_FILE_LINE_PM_STATUS` in `pidfile.h`). */
const STATUS_LINE = 7;

/** The first lines of SQLSTATE classes by which a failed start is told apart. */
const DISK_FULL_STATE = '53100';
const LOCK_FILE_EXISTS_STATE = 'F0001';

/** Environment of PostgreSQL's programs: nothing of this process's own environment, which may hold secrets. */
const PROGRAM_ENVIRONMENT = {
  LC_ALL: 'C',
  TZ: 'UTC',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
};

/** What a postmaster is started with. */
export interface PostmasterOptions {
  /** The command line, from `ServerView.command`. */
  readonly command: readonly [string, ...string[]];
  /** The cluster directory as this process sees it. */
  readonly clusterDirectory: string;
  readonly log: ServerLog;
  /** Called once if the server ends although nobody stopped it. */
  readonly onUnexpectedExit?: (error: EmbeddedPostgresError) => void;
}

/** A running server. */
export interface Postmaster {
  /** Its process id. */
  readonly pid: number;
  /** Fast shutdown: transactions are rolled back, a checkpoint is written. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the server and waits until it accepts connections.
 *
 * @throws EmbeddedPostgresError when it ends before that.
 */
export async function startPostmaster(options: PostmasterOptions): Promise<Postmaster> {
  const { child, exited } = spawnProgram(options.command, options.log);
  let isStopping = false;
  let isReady = false;
  const ended = exited.then((error) => {
    if (isReady && !isStopping) options.onUnexpectedExit?.(error);
    return error;
  });
  const stop = async (): Promise<void> => {
    isStopping = true;
    child.kill('SIGINT');
    const timeout = new AbortController();
    const late = delay(STOP_TIMEOUT_MS, 'late', { signal: timeout.signal }).catch(() => 'ended');
    if ((await Promise.race([ended, late])) === 'late') child.kill('SIGQUIT');
    await ended;
    timeout.abort();
  };
  try {
    await becomeReady(child, ended, options.clusterDirectory);
  } catch (error) {
    await stop();
    throw error;
  }
  isReady = true;
  let stopped: Promise<void> | undefined;
  return { pid: child.pid ?? 0, stop: () => (stopped ??= stop()) };
}

/**
 * Runs one of PostgreSQL's programs to its end.
 *
 * @throws EmbeddedPostgresError unless it ends with status 0.
 */
export async function runProgram(
  command: readonly [string, ...string[]],
  log: ServerLog,
): Promise<void> {
  const { child, exited } = spawnProgram(command, log);
  const error = await exited;
  if (child.exitCode !== 0) throw error;
}

function spawnProgram(
  [file, ...args]: readonly [string, ...string[]],
  log: ServerLog,
): { child: ChildProcess; exited: Promise<EmbeddedPostgresError> } {
  // A session of its own: Ctrl-C at the terminal reaches this process alone, which then stops things in order.
  const child = spawn(file, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
    cwd: '/',
    env: PROGRAM_ENVIRONMENT,
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => log.write(chunk));
  const exited = once(child, 'close').then(
    ([status, signal]: unknown[]) =>
      explainExit(log, `status ${String(status)}, signal ${String(signal)}`),
    (cause: unknown) =>
      new EmbeddedPostgresError(
        'UNSUPPORTED_PLATFORM',
        `the program ${file} cannot be run; install util-linux`,
        { cause },
      ),
  );
  return { child, exited };
}

function explainExit(log: ServerLog, how: string): EmbeddedPostgresError {
  const tail = log.tail();
  // initdb prints strerror(3) and no SQLSTATE; LC_ALL=C fixes the words.
  if (log.fatalStates.has(DISK_FULL_STATE) || tail.includes('No space left on device')) {
    return new EmbeddedPostgresError(
      'DISK_FULL',
      `no space left for PostgreSQL's data; free some and start again (${tail})`,
    );
  }
  if (log.fatalStates.has(LOCK_FILE_EXISTS_STATE)) {
    return new EmbeddedPostgresError(
      'DATA_DIRECTORY_IN_USE',
      `another PostgreSQL server uses the data directory (${tail})`,
    );
  }
  return new EmbeddedPostgresError('START_FAILED', `PostgreSQL ended (${how}): ${tail}`);
}

async function becomeReady(
  child: ChildProcess,
  ended: Promise<EmbeddedPostgresError>,
  clusterDirectory: string,
): Promise<void> {
  let failure: EmbeddedPostgresError | undefined;
  void ended.then((error) => {
    failure = error;
  });
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += STATUS_INTERVAL_MS) {
    if (failure !== undefined) throw failure;
    if (await isAccepting(clusterDirectory, child.pid)) return;
    await delay(STATUS_INTERVAL_MS);
  }
  throw new EmbeddedPostgresError(
    'START_FAILED',
    `PostgreSQL was not ready after ${START_TIMEOUT_MS / 1000} s`,
  );
}

async function isAccepting(clusterDirectory: string, pid: number | undefined): Promise<boolean> {
  try {
    const lines = (await readFile(join(clusterDirectory, 'postmaster.pid'), 'utf8')).split('\n');
    return lines[0] === String(pid) && lines[STATUS_LINE]?.trim() === 'ready';
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

import { EmbeddedPostgresError } from './embedded-postgres-error.ts';

/** A kernel lock on one data directory, held until released or until this process ends, however it ends. */
export interface DataDirectoryLock {
  /** Gives the lock up. Idempotent. */
  release(): void;
}

/**
 * Takes the exclusive lock on `lockPath` without waiting.
 *
 * Node.js has no flock(2), but the lock belongs to the open file description, not to the process that asked for it: the
 * `flock` program locks the descriptor it inherits and exits, and this process keeps the description open.
 *
 * @throws EmbeddedPostgresError `DATA_DIRECTORY_IN_USE` while another process holds the lock.
 */
export async function lockDataDirectory(lockPath: string): Promise<DataDirectoryLock> {
  // A plain descriptor: a FileHandle nobody refers to is closed by the garbage collector, and the lock with it.
  const descriptor = openSync(lockPath, 'a', 0o600);
  try {
    await flock(descriptor, lockPath);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  let isHeld = true;
  return {
    release: () => {
      if (isHeld) closeSync(descriptor);
      isHeld = false;
    },
  };
}

async function flock(descriptor: number, lockPath: string): Promise<void> {
  const child = spawn('flock', ['--exclusive', '--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', descriptor],
  });
  const [status] = await once(child, 'close').catch((cause: unknown) => {
    throw new EmbeddedPostgresError(
      'UNSUPPORTED_PLATFORM',
      'the program flock cannot be run; install the package util-linux',
      { cause },
    );
  });
  if (status !== 0) {
    throw new EmbeddedPostgresError(
      'DATA_DIRECTORY_IN_USE',
      `another running instance holds ${lockPath}; stop it or choose another data directory`,
    );
  }
}

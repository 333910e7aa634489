import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { StateError } from './state-error.ts';
import { asStateError } from './system-fault.ts';

/** The right to use a state directory, held until it is released or the process ends, however it ends. */
export interface StateLock {
  /** Idempotent. */
  release(): void;
}

/** Descriptor under which the child sees the lock file. */
const CHILD_DESCRIPTOR = 3;

/**
 * Takes the exclusive lock on a file without waiting. flock(2) locks belong to the open file description: the `flock`
 * program of util-linux locks the one it inherits and ends, and this process keeps it open.
 *
 * @throws {StateError} `in-use` while another process holds it
 */
export async function lockState(path: string): Promise<StateLock> {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'a', 0o600);
  } catch (error) {
    throw asStateError(error, path);
  }
  const isLocked = await flock(descriptor).catch((error: unknown) => {
    closeSync(descriptor);
    throw error;
  });
  if (!isLocked) {
    closeSync(descriptor);
    throw new StateError(
      'in-use',
      `Another nexd uses the state directory of ${path}`,
      'See `nexctl nexd status`, stop that one, or name another directory with --state-dir',
    );
  }
  let isHeld = true;
  return {
    release: () => {
      if (isHeld) closeSync(descriptor);
      isHeld = false;
    },
  };
}

async function flock(descriptor: number): Promise<boolean> {
  const child = spawn('flock', ['--exclusive', '--nonblock', String(CHILD_DESCRIPTOR)], {
    stdio: ['ignore', 'ignore', 'ignore', descriptor],
  });
  try {
    const [status] = await once(child, 'close');
    return status === 0;
  } catch (cause) {
    throw new StateError(
      'inaccessible',
      'The program flock cannot be run',
      'Install the Debian package util-linux',
      { cause },
    );
  }
}

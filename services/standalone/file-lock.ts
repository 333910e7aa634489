import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

/** A lock that ends when it is released or its process ends, however it ends. */
export interface FileLock {
  /** Idempotent. */
  readonly release: () => void;
}

/** Descriptor under which the child sees the file. */
const childDescriptor = 3;

/**
 * Takes the exclusive lock on a file without waiting; undefined while another process holds it. flock(2) locks belong to
 * the open file description: the `flock` program of util-linux locks the one it inherits, and this process keeps it.
 *
 * @throws when the file cannot be opened or `flock` cannot be run
 */
export async function lockFile(path: string): Promise<FileLock | undefined> {
  const descriptor = openSync(path, 'a', 0o600);
  let isHeld = true;
  const release = (): void => {
    if (isHeld) closeSync(descriptor);
    isHeld = false;
  };
  try {
    const child = spawn('flock', ['--exclusive', '--nonblock', String(childDescriptor)], {
      stdio: ['ignore', 'ignore', 'ignore', descriptor],
    });
    const [status] = await once(child, 'close');
    if (status === 0) return { release };
  } catch (cause) {
    release();
    throw new Error('the program flock cannot be run: install the package util-linux', { cause });
  }
  release();
  return undefined;
}

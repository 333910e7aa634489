// @ts-check
/**
 * A lock between processes, kept as a file that names its holder.
 *
 * Two set-ups of one clone may run at the same time (a terminal and an editor, two test runs). Each step that writes
 * takes the lock of what it writes and, once it has it, looks again whether the work is still to do. A holder that
 * died leaves its file behind; the next one sees that the process is gone and takes the lock over.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** How often a waiter looks again; a person does not notice it and it costs nothing. */
const POLL_INTERVAL_MS = 100;

/**
 * Runs `work` while holding the lock at `path`. Waits as long as a living process holds it.
 *
 * @template T
 * @param {string} path file of the lock; its folder is made
 * @param {() => Promise<T> | T} work
 * @param {(holderPid: number) => void} [onWait] called once if the lock is taken
 * @returns {Promise<T>}
 */
export async function withLock(path, work, onWait) {
  mkdirSync(dirname(path), { recursive: true });
  let waited = false;
  while (!tryLock(path)) {
    const holder = holderOf(path);
    if (holder !== undefined && !isAlive(holder)) {
      removeStale(path, holder);
      continue;
    }
    if (!waited && holder !== undefined) {
      waited = true;
      onWait?.(holder);
    }
    await pause(POLL_INTERVAL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** @param {string} path */
function tryLock(path) {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * @param {string} path
 * @returns {number | undefined} undefined when the file is gone or its holder has not written its number yet
 */
function holderOf(path) {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Moves the file aside before removing it, so that of two waiters only one removes it and neither removes a lock that
 * a third has just taken.
 *
 * @param {string} path
 * @param {number} holder
 */
function removeStale(path, holder) {
  const aside = `${path}.stale-${process.pid}`;
  try {
    if (holderOf(path) !== holder) return;
    renameSync(path, aside);
    rmSync(aside, { force: true });
  } catch {
    // Another waiter was quicker.
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

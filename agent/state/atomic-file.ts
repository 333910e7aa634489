import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asStateError, systemErrorCode } from './system-fault.ts';

/** Permissions of every file of the state directory: its owner's only. */
const FILE_MODE = 0o600;

/**
 * Replaces a file whole: after a crash or a full disk there is the old content or the new one, never a part. The content
 * before stays beside it under the name `PATH.previous`. Only one call at a time for one path.
 *
 * @throws {StateError} and leaves the file as it was
 */
export async function writeFileAtomically(
  path: string,
  content: Uint8Array,
  { keepsPrevious = true }: { keepsPrevious?: boolean } = {},
): Promise<void> {
  const temporary = temporaryOf(path);
  try {
    await removeIfThere(temporary);
    await writeDurably(temporary, content);
    if (keepsPrevious) await keepPrevious(path);
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await removeIfThere(temporary).catch(() => {});
    throw asStateError(error, path);
  }
}

/** The content, or undefined where there is no such file. @throws {StateError} */
export async function readFileIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw asStateError(error, path);
  }
}

/** Name of the content before the present one. */
export function previousOf(path: string): string {
  return `${path}.previous`;
}

/** Name of the content while it is written. */
export function temporaryOf(path: string): string {
  return `${path}.tmp`;
}

/** Removes a file; none there is no error. */
async function removeIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  });
}

async function writeDurably(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function keepPrevious(path: string): Promise<void> {
  const temporary = temporaryOf(previousOf(path));
  await removeIfThere(temporary);
  try {
    await link(path, temporary);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  await rename(temporary, previousOf(path));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

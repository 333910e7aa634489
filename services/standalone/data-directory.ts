import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { lockFile } from './file-lock.ts';

/** The directory in which a standalone service keeps everything, mode 0700. One process at a time owns it. */
export interface DataDirectory {
  readonly path: string;
  /** Absolute path of a file in it. */
  file(name: string): string;
  /** Text of a file; undefined when there is none. */
  read(name: string): string | undefined;
  /** Replaces a file at once or not at all, and not before it is on the disk. Mode 0600 unless it is public. */
  write(name: string, text: string, access?: 'secret' | 'public'): Promise<void>;
  /** Removes a file if it is there. */
  remove(name: string): Promise<void>;
  /** Gives the directory up. */
  release(): void;
}

/**
 * Makes the directory if it is missing, and takes it over.
 *
 * @throws with one line when another process owns it or it cannot be used
 */
export async function openDataDirectory(path: string): Promise<DataDirectory> {
  const root = resolve(path);
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    chmodSync(root, 0o700);
  } catch (error) {
    throw unusable(root, error);
  }
  const lock = await lockFile(join(root, 'lock'));
  if (lock === undefined) {
    throw new Error(
      `another instance uses ${root}: stop it, or choose another directory with NEXODUS_DATA_DIR`,
    );
  }
  return {
    path: root,
    file: (name) => join(root, name),
    read: (name) => readIfThere(join(root, name)),
    write: (name, text, access = 'secret') =>
      writeAtomically(join(root, name), text, access === 'secret' ? 0o600 : 0o644),
    remove: (name) => rm(join(root, name), { force: true }),
    release: lock.release,
  };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unusable(file, error);
  }
}

async function writeAtomically(file: string, text: string, mode: number): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.new`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncDirectory(dirname(file));
  } catch (error) {
    await rm(temporary, { force: true });
    throw unusable(file, error);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** One line that names the cause and the remedy. */
function unusable(path: string, cause: unknown): Error {
  const remedies: Readonly<Record<string, string>> = {
    ENOSPC: `no space is left for ${path}: free some and start again`,
    EDQUOT: `no space is left for ${path}: free some and start again`,
    EACCES: `${path} cannot be used by this user: choose another directory with NEXODUS_DATA_DIR`,
    EPERM: `${path} belongs to another user: choose another directory with NEXODUS_DATA_DIR`,
    EROFS: `${path} is on a read-only file system: choose another directory with NEXODUS_DATA_DIR`,
    ENOTDIR: `${path} is below a file: choose another directory with NEXODUS_DATA_DIR`,
    EEXIST: `${path} is a file: choose another directory with NEXODUS_DATA_DIR`,
  };
  const remedy = remedies[codeOf(cause) ?? ''];
  return new Error(remedy ?? `${path} cannot be used: ${String(cause)}`, { cause });
}

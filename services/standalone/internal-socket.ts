import { lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { DataDirectory } from './data-directory.ts';

/** `sun_path` of unix(7) has 108 bytes, one of which ends the string. */
const socketPathLimitBytes = 107;

const substitutePrefix = 'nexodus-internal-';
const record = 'internal-socket-directory';

/** The unix socket of the internal server. */
export interface InternalSocket {
  readonly path: string;
  /** Removes it, and its directory where that lies elsewhere. */
  remove(): Promise<void>;
}

/**
 * Chooses the socket in the data directory, or, where that path would be too long for a socket address, in a private
 * directory below XDG_RUNTIME_DIR or that of temporary files, which is noted so that the next start removes what a crash
 * left behind.
 */
export async function chooseInternalSocket(directory: DataDirectory): Promise<InternalSocket> {
  await removeRecorded(directory);
  const inside = directory.file('internal.sock');
  if (Buffer.byteLength(inside) <= socketPathLimitBytes) {
    await directory.remove('internal.sock');
    return { path: inside, remove: () => directory.remove('internal.sock') };
  }
  const substitute = mkdtempSync(
    join(process.env['XDG_RUNTIME_DIR'] ?? tmpdir(), substitutePrefix),
  );
  await directory.write(record, substitute);
  return { path: join(substitute, 'internal.sock'), remove: () => removeRecorded(directory) };
}

async function removeRecorded(directory: DataDirectory): Promise<void> {
  try {
    const path = readFileSync(directory.file(record), 'utf8');
    const found = lstatSync(path);
    const isOurs =
      found.isDirectory() &&
      found.uid === process.getuid?.() &&
      basename(path).startsWith(substitutePrefix);
    if (isOurs) rmSync(path, { recursive: true, force: true });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  await directory.remove(record);
}

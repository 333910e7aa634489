import { chmod, chown, lstat, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { systemErrorCode } from './system-error.ts';

/** The port only names the socket file; no TCP port is opened. */
export const SOCKET_PORT = 5432;

/** `sun_path` of unix(7) has 108 bytes, one of which ends the string. */
const SOCKET_PATH_LIMIT_BYTES = 107;

const SUBSTITUTE_PREFIX = 'nexodus-postgres-';

/** Where the server's socket lies. */
export interface SocketDirectory {
  /** Mode 0700, owned by the server's user: only that user and root can connect. */
  readonly path: string;
  /** Removes the directory if it lies outside the data directory. Idempotent. */
  remove(): Promise<void>;
}

/**
 * Makes the socket directory inside `home`, or, where the socket's path would be too long for a socket address, below
 * `XDG_RUNTIME_DIR` or the directory for temporary files. Such a substitute is recorded in `home`, so that the next
 * start removes what a crash left behind. Nothing may use an earlier socket any more: its directory is emptied.
 */
export async function makeSocketDirectory(
  home: string,
  owner: { uid: number; gid: number },
): Promise<SocketDirectory> {
  const record = join(home, 'socket-directory');
  await removeRecorded(record, owner.uid);
  const inside = join(home, 'socket');
  if (Buffer.byteLength(join(inside, `.s.PGSQL.${SOCKET_PORT}`)) <= SOCKET_PATH_LIMIT_BYTES) {
    await rm(inside, { recursive: true, force: true });
    await mkdir(inside, { mode: 0o700 });
    await protect(inside, owner);
    return { path: inside, remove: () => Promise.resolve() };
  }
  const substitute = await mkdtemp(
    join(process.env['XDG_RUNTIME_DIR'] ?? tmpdir(), SUBSTITUTE_PREFIX),
  );
  await writeFile(record, substitute, { mode: 0o600 });
  await protect(substitute, owner);
  return { path: substitute, remove: () => removeRecorded(record, owner.uid) };
}

async function protect(path: string, owner: { uid: number; gid: number }): Promise<void> {
  await chmod(path, 0o700);
  await chown(path, owner.uid, owner.gid);
}

async function removeRecorded(record: string, uid: number): Promise<void> {
  try {
    const path = await readFile(record, 'utf8');
    const found = await lstat(path);
    const isOurs =
      found.isDirectory() && found.uid === uid && basename(path).startsWith(SUBSTITUTE_PREFIX);
    if (isOurs) await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  await rm(record, { force: true });
}

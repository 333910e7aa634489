import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asStateError, systemErrorCode } from '../state/system-fault.ts';

/** Leftovers that are no error: nothing there, or files of somebody else. */
const harmless: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTEMPTY', 'ENOTDIR']);

/**
 * Removes what the tunnel of an interface keeps in its folder, and the folder when nothing else is in it; idempotent.
 *
 * @throws {StateError}
 */
export async function removeTunnelFiles(folder: string, interfaceName: string): Promise<void> {
  const own = [
    `wireguard-go-${interfaceName}.pid`,
    `wireguard-go-${interfaceName}.log`,
    `wg-set-${interfaceName}.key`,
  ];
  try {
    for (const name of own) await rm(join(folder, name), { force: true });
    await rmdir(folder);
  } catch (error) {
    if (!harmless.has(systemErrorCode(error))) throw asStateError(error, folder);
  }
}

/** For tests on machines where nftables is not installed but unpacked into the project's cache. */
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import koffi from 'koffi';

/** What libnftables needs beside the C library, each after what it needs itself. */
const NEEDED = [
  'libmnl.so.0',
  'libnftnl.so.11',
  'libxtables.so.12',
  'libjansson.so.4',
  'libgmp.so.10',
  'libnftables.so.1',
];

/**
 * Loads libnftables from beside the `nft` of the cache where the system has none; the dynamic loader then finds it by
 * name for the life of this process.
 */
export function preloadLibnftables(): void {
  if (isLoadable('libnftables.so.1')) return;
  const [folder] = (process.env['PATH'] ?? '').split(delimiter).flatMap(libraryFolders);
  for (const name of folder === undefined ? [] : NEEDED) {
    if (!isLoadable(name)) isLoadable(join(folder ?? '', name));
  }
}

function libraryFolders(programs: string): string[] {
  const libraries = join(programs, '..', 'root', 'usr', 'lib');
  if (!existsSync(libraries)) return [];
  return readdirSync(libraries)
    .map((triplet) => join(libraries, triplet))
    .filter((folder) => existsSync(join(folder, 'libnftables.so.1')));
}

function isLoadable(library: string): boolean {
  try {
    koffi.load(library);
    return true;
  } catch {
    return false;
  }
}

import { runChecked } from '@nexodus/netsim';
import { access, constants, open, realpath } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';
import { GuestError } from './guest-error.ts';

/** Files to copy into a guest, by their path there. */
export type GuestFiles = ReadonlyMap<string, string>;

/** Where a package may put a program. */
const PROGRAM_FOLDERS = ['usr/sbin', 'usr/bin', 'sbin', 'bin'];

const LIBRARY_FOLDERS = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'];

/** A program and where libraries of its own package lie, if not with the machine's. */
type Program = { readonly path: string; readonly libraryFolders: readonly string[] };

/**
 * Finds programs in PATH and the shared libraries they need, laid out for a guest of one `/usr/bin` and one library folder.
 *
 * @throws GuestError naming a program that PATH does not have.
 */
export async function collectPrograms(names: readonly string[]): Promise<GuestFiles> {
  const files = new Map<string, string>();
  for (const name of names) {
    const program = await locate(name);
    files.set(`usr/bin/${name}`, program.path);
    for (const [to, from] of await librariesOf(program)) files.set(to, from);
  }
  return files;
}

async function locate(name: string): Promise<Program> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    if (!(await isExecutable(path))) continue;
    if (!(await isScript(path))) return { path: await realpath(path), libraryFolders: [] };
    const behind = await behindLauncher(path);
    if (behind !== undefined) return behind;
  }
  throw new GuestError(`the guest needs the program ${name}, which PATH does not have`);
}

/** The tests' set-up starts unpacked programs by small scripts in `bin/`; the programs themselves are under `root/`. */
async function behindLauncher(launcher: string): Promise<Program | undefined> {
  const root = join(dirname(launcher), '..', 'root');
  for (const folder of PROGRAM_FOLDERS) {
    const path = join(root, folder, basename(launcher));
    if (await isExecutable(path))
      return { path, libraryFolders: LIBRARY_FOLDERS.map((libraries) => join(root, libraries)) };
  }
  return undefined;
}

async function librariesOf(program: Program): Promise<readonly (readonly [string, string])[]> {
  const environment = { ...process.env, LD_LIBRARY_PATH: program.libraryFolders.join(':') };
  // `ldd` refuses static programs; they need nothing.
  const listing = await runChecked(['ldd', program.path], { env: environment }).catch(() => '');
  const lacking = /^\s+(\S+) => not found/m.exec(listing)?.[1];
  if (lacking !== undefined) throw new GuestError(`${program.path} lacks ${lacking}`);
  const libraries = [...listing.matchAll(/^\s+\S+ => (\/\S+) \(/gm)].map(([, path = '']) => path);
  const loaders = [...listing.matchAll(/^\s+(\/\S+) \(/gm)].map(([, path = '']) => path);
  return [
    ...libraries.map((path) => [`usr/lib/x86_64-linux-gnu/${basename(path)}`, path] as const),
    ...loaders.map((path) => [`usr/lib64/${basename(path)}`, path] as const),
  ];
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function isScript(path: string): Promise<boolean> {
  await using file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
  return buffer.toString('latin1') === '#!';
}

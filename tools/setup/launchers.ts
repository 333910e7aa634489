/**
 * Launchers: how a program runs from an unpacked package.
 *
 * A program whose libraries are the machine's own is a symbolic link. One that needs libraries of the cache is started
 * by the machine's dynamic loader with `--library-path`: unlike LD_LIBRARY_PATH that path holds for this one program
 * and not for what it starts (`ip netns exec` starts anything). Launchers find their folder themselves, so the cache may
 * be moved.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { run } from './apt.ts';

const PROGRAM_FOLDERS = ['usr/sbin', 'usr/bin', 'sbin', 'bin'];

/** Where data of a program lies that it looks for below /usr. `$root` is the folder of the unpacked packages. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  'qemu-system-x86_64':
    '-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu"',
};
const VARIABLES: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'QEMU_MODULE_DIR="$root/usr/lib/$triplet/qemu"',
  nft: 'XTABLES_LIBDIR="$root/usr/lib/$triplet/xtables"',
  tc: 'TC_LIB_DIR="$root/usr/lib/tc"',
};

/** Makes launchers for `commands` of the packages unpacked in `root`; gives the names it did not find. */
export async function makeLaunchers(
  root: string,
  binDir: string,
  commands: readonly string[],
): Promise<string[]> {
  mkdirSync(binDir, { recursive: true });
  const triplet = findTriplet(root);
  const missing: string[] = [];
  for (const command of commands) {
    const program = PROGRAM_FOLDERS.map((folder) => join(root, folder, command)).find((path) =>
      existsSync(path),
    );
    if (program === undefined) missing.push(command);
    else await makeLauncher(root, triplet, program, join(binDir, command));
  }
  return missing;
}

async function makeLauncher(
  root: string,
  triplet: string,
  program: string,
  launcher: string,
): Promise<void> {
  const name = basename(program);
  const loader = await privateLoader(root, triplet, program);
  const variables = VARIABLES[name];
  if (loader === undefined && variables === undefined && ARGUMENTS[name] === undefined) {
    symlinkSync(relative(join(launcher, '..'), program), launcher);
    return;
  }
  const path = '"$root/' + relative(root, program) + '"';
  const libraries = libraryFolders(triplet)
    .map((folder) => `$root/${folder}`)
    .join(':');
  const start =
    loader === undefined ? path : `${loader} --argv0 ${name} --library-path "${libraries}" ${path}`;
  const lines = [
    '#!/bin/sh',
    'root="${0%/*}/../root"',
    `triplet=${triplet}`,
    ...(variables === undefined ? [] : [`export ${variables}`]),
    `exec ${[start, ARGUMENTS[name], '"$@"'].filter((part) => part !== undefined).join(' ')}`,
  ];
  writeFileSync(launcher, `${lines.join('\n')}\n`);
  chmodSync(launcher, 0o755);
}

/** The machine's dynamic loader if the program needs a library of the cache; checks that it finds every one. */
async function privateLoader(
  root: string,
  triplet: string,
  program: string,
): Promise<string | undefined> {
  // ldd ends with 1 for a static program or a script; both run as they are.
  const listing = await run('ldd', [program]).catch(() => '');
  const loader = /^\s+(\/\S*ld-linux\S*) \(/m.exec(listing)?.[1];
  const needed = [...listing.matchAll(/^\s+(\S+) => /gm)].map(([, library]) => library ?? '');
  const isOurs = (library: string) =>
    libraryFolders(triplet).some((folder) => existsSync(join(root, folder, library)));
  if (loader === undefined || !needed.some(isOurs)) return undefined;
  const libraries = libraryFolders(triplet)
    .map((folder) => join(root, folder))
    .join(':');
  const found = await run(loader, ['--library-path', libraries, '--list', program]);
  const lacking = [...found.matchAll(/^\s+(\S+) => not found/gm)].map(([, library]) => library);
  if (lacking.length > 0) throw new Error(`${basename(program)} lacks ${lacking.join(', ')}`);
  return loader;
}

function libraryFolders(triplet: string): string[] {
  return [`usr/lib/${triplet}`, `lib/${triplet}`];
}

function findTriplet(root: string): string {
  const folder = join(root, 'usr/lib');
  const triplet = existsSync(folder)
    ? readdirSync(folder).find((name) => /-linux-gnu/.test(name))
    : undefined;
  return triplet ?? 'x86_64-linux-gnu';
}

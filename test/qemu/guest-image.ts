import { runChecked } from '@nexodus/netsim';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../../tools/setup/debian.ts';
import type { GuestKernel } from './guest-kernel.ts';
import { collectPrograms } from './guest-programs.ts';
import type { GuestFiles } from './guest-programs.ts';

/** What a guest boots from, beside its kernel; never written to, so any number of guests share it. */
export type GuestImage = {
  /** Initial RAM disk: loads the disk's driver and mounts the system. */
  readonly initrd: string;
  /** Read-only ext4 image of the system. */
  readonly system: string;
};

/** Raise it when the same inputs must give another image. */
const LAYOUT_VERSION = '1';

/** Programs of the guest; everything else comes from busybox. Those of util-linux and coreutils are what netsim asks for. */
const PROGRAMS = [
  'busybox',
  'conntrack',
  'env',
  'ip',
  'iperf3',
  'node',
  'nft',
  'nsenter',
  'ping',
  'ss',
  'tc',
  'unshare',
  'wg',
];

/** In the order of loading. */
const BOOT_MODULES = [
  'virtio',
  'virtio_ring',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_blk',
];

/** Parts of the module tree that a guest without hardware has a use for. */
const MODULE_FOLDERS = ['arch', 'crypto', 'drivers/net', 'lib', 'net'];

const BOOT_SCRIPT = fileURLToPath(new URL('boot.sh', import.meta.url));
const INIT_SCRIPT = fileURLToPath(new URL('guest-init.sh', import.meta.url));

/** Gives the image for a kernel and the programs in PATH: from the cache when the same inputs were seen before. */
export async function prepareGuestImage(kernel: GuestKernel): Promise<GuestImage> {
  const programs = await collectPrograms(PROGRAMS);
  const folder = join(cacheFolder(), 'qemu', await fingerprint(kernel, programs));
  const image = { initrd: join(folder, 'initrd.cpio'), system: join(folder, 'system.ext4') };
  if (await exists(image.system)) return image;
  await mkdir(dirname(folder), { recursive: true });
  const draft = await mkdtemp(`${folder}.draft-`);
  try {
    await buildInitrd(kernel, programs, draft);
    await buildSystem(kernel, programs, draft);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!(await exists(image.system))) throw error;
  }
  return image;
}

async function fingerprint(kernel: GuestKernel, programs: GuestFiles): Promise<string> {
  const hash = createHash('sha256').update(
    `${LAYOUT_VERSION} ${kernel.release} ${PROGRAMS.join(' ')}`,
  );
  const modules = ['modules.dep', 'modules.symbols'].map((name) => join(kernel.modulesDir, name));
  for (const path of [BOOT_SCRIPT, INIT_SCRIPT, ...modules, ...programs.values()]) {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer); // no encoding is set
  }
  return hash.digest('hex').slice(0, 16);
}

async function buildInitrd(
  kernel: GuestKernel,
  programs: GuestFiles,
  draft: string,
): Promise<void> {
  await using work = await workFolder();
  const busybox = programs.get('usr/bin/busybox') ?? '';
  for (const folder of ['dev', 'modules', 'system']) await mkdir(join(work.path, folder));
  await copyFile(BOOT_SCRIPT, join(work.path, 'init'));
  await chmod(join(work.path, 'init'), 0o755);
  await copyFile(busybox, join(work.path, 'busybox'));
  const paths = await modulePaths(kernel);
  const loaded: string[] = [];
  for (const name of BOOT_MODULES) {
    const path = paths.get(name);
    // A kernel with the driver built in has no module for it.
    if (path === undefined) continue;
    await copyFile(path, join(work.path, 'modules', basename(path)));
    loaded.push(basename(path));
  }
  await writeFile(join(work.path, 'modules', 'order'), `${loaded.join('\n')}\n`);
  const target = join(draft, 'initrd.cpio');
  await runChecked(['sh', '-ec', 'find . | "$1" cpio -o -H newc > "$2"', 'sh', busybox, target], {
    cwd: work.path,
  });
}

async function buildSystem(
  kernel: GuestKernel,
  programs: GuestFiles,
  draft: string,
): Promise<void> {
  await using work = await workFolder();
  const root = work.path;
  const folders = [
    'dev',
    'etc',
    'job',
    'proc',
    'root',
    'run',
    'sys',
    'tmp',
    'usr/bin',
    'usr/lib/x86_64-linux-gnu',
    'usr/lib64',
    'var',
  ];
  for (const folder of folders) await mkdir(join(root, folder), { recursive: true });
  for (const [link, target] of [
    ['bin', 'usr/bin'],
    ['sbin', 'usr/bin'],
    ['usr/sbin', 'bin'],
    ['lib', 'usr/lib'],
    ['lib64', 'usr/lib64'],
    ['var/run', '../run'],
  ] as const) {
    await symlink(target, join(root, link));
  }
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(root, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n');
  await writeFile(join(root, 'etc/resolv.conf'), '');
  for (const [to, from] of programs) await copyFile(from, join(root, to));
  await copyFile(INIT_SCRIPT, join(root, 'usr/bin/guest-init'));
  await chmod(join(root, 'usr/bin/guest-init'), 0o755);
  await linkApplets(root);
  await copyModules(kernel, root);
  const usedKiB = Number.parseInt(await runChecked(['du', '-sk', root]), 10);
  const sizeKiB = Math.ceil(usedKiB * 1.1) + 16_384;
  await runChecked([
    'mke2fs',
    '-q',
    '-t',
    'ext4',
    '-O',
    '^has_journal',
    '-d',
    root,
    join(draft, 'system.ext4'),
    `${sizeKiB}k`,
  ]);
}

async function linkApplets(root: string): Promise<void> {
  const applets = (await runChecked([join(root, 'usr/bin/busybox'), '--list'])).trim().split('\n');
  for (const applet of applets) {
    const path = join(root, 'usr/bin', applet);
    if (!(await exists(path))) await symlink('busybox', path);
  }
}

async function copyModules(kernel: GuestKernel, root: string): Promise<void> {
  const target = join(root, 'usr/lib/modules', kernel.release);
  for (const folder of MODULE_FOLDERS) {
    await cp(join(kernel.modulesDir, 'kernel', folder), join(target, 'kernel', folder), {
      recursive: true,
    });
  }
  for (const list of [
    'modules.dep',
    'modules.alias',
    'modules.builtin',
    'modules.softdep',
    'modules.symbols',
  ]) {
    await copyFile(join(kernel.modulesDir, list), join(target, list));
  }
}

async function modulePaths(kernel: GuestKernel): Promise<ReadonlyMap<string, string>> {
  const dependencies = await readFile(join(kernel.modulesDir, 'modules.dep'), 'utf8');
  const paths = dependencies
    .split('\n')
    .map((line) => line.slice(0, Math.max(0, line.indexOf(':'))));
  return new Map(paths.map((path) => [basename(path, '.ko'), join(kernel.modulesDir, path)]));
}

async function workFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'nexodus-guest-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

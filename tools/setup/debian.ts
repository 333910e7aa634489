/**
 * The Debian packages of the tests, unpacked into the project's cache: nothing is installed on the machine, no service
 * is started, no right beyond the cache folder is needed.
 *
 * `npm run setup` prints where they are as JSON. Tests get the same through {@link applyDebianCache}.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  downloadBehindMetapackage,
  downloadWithDependencies,
  openPrivateApt,
  parseRelease,
  run,
  type Release,
} from './apt.ts';
import {
  COMMANDS,
  KERNEL_METAPACKAGE,
  OLDEST_WIREGUARD_GO,
  PACKAGES,
  WIREGUARD_GO_FROM_BACKPORTS,
} from './debian-packages.ts';
import { makeLaunchers } from './launchers.ts';
import { withLock } from './lock.mjs';
import { printFailure, progress, SetupError } from './report.mjs';
import { fingerprint, isCurrent, writeStamp } from './stamp.mjs';

/** Raise it when the same packages must be unpacked differently. */
const LAYOUT_VERSION = '2';

/** Where the unpacked packages are. */
export interface DebianCache {
  /** Folder of launchers, to stand first in PATH. */
  readonly binDir: string;
  /** Kernel with WireGuard and netem for a virtual machine. */
  readonly kernel: {
    readonly release: string;
    /** bzImage for `qemu -kernel`. */
    readonly image: string;
    /** lib/modules/<release>, with modules.dep. */
    readonly modulesDir: string;
  };
}

/** The cache folder of this clone: `NEXODUS_CACHE_DIR`, else `.cache`. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const clone = fileURLToPath(new URL('../..', import.meta.url));
  return resolve(clone, environment['NEXODUS_CACHE_DIR'] || '.cache');
}

/**
 * Downloads and unpacks what is missing; gives at once what is there. Safe to call from several processes.
 *
 * @throws SetupError where it is impossible, with one line that says what to install instead
 */
export async function prepareDebianCache(cache: string = cacheFolder()): Promise<DebianCache> {
  const release = readRelease();
  const expected = fingerprint([
    LAYOUT_VERSION,
    release.codename,
    process.arch,
    KERNEL_METAPACKAGE,
    ...PACKAGES,
    'commands',
    ...COMMANDS,
  ]);
  const folder = join(cache, 'debian', expected.slice(0, 16));
  const isReady = () => isCurrent(join(folder, '.stamp'), expected);
  if (!isReady()) {
    await withLock(
      `${folder}.lock`,
      async () => {
        if (!isReady()) await build(folder, release, expected);
      },
      (pid) => progress(`waiting for the Debian packages that process ${pid} unpacks`),
    );
  }
  return describe(folder);
}

/** Makes the cache's programs visible to this process and all it starts, and names the kernel to the tests. */
export function applyDebianCache(
  cache: DebianCache,
  environment: NodeJS.ProcessEnv = process.env,
): void {
  const path = (environment['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '' && folder !== cache.binDir);
  // Users who are not root often lack the folders of the system's own tools.
  const system = ['/usr/sbin', '/sbin'].filter((folder) => !path.includes(folder));
  environment['PATH'] = [cache.binDir, ...path, ...system].join(delimiter);
  environment['NEXODUS_TEST_KERNEL_IMAGE'] = cache.kernel.image;
  environment['NEXODUS_TEST_KERNEL_MODULES'] = cache.kernel.modulesDir;
}

function readRelease(): Release {
  const release = existsSync('/etc/os-release')
    ? parseRelease(readFileSync('/etc/os-release', 'utf8'))
    : undefined;
  if (release?.id === 'debian' && release.codename !== '' && process.arch === 'x64') return release;
  throw new SetupError(
    'this is not Debian on amd64, so the packages of the tests cannot be unpacked',
    whatToInstall(),
  );
}

function whatToInstall(): string {
  return `Install: ${[...PACKAGES, KERNEL_METAPACKAGE].join(' ')} and wireguard-go ${OLDEST_WIREGUARD_GO} or later.`;
}

async function build(folder: string, release: Release, stamp: string): Promise<void> {
  const started = Date.now();
  const draft = `${folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  try {
    await download(draft, release);
    await unpack(draft);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new SetupError(
      `the Debian packages cannot be unpacked (${cause.replaceAll(/\s+/g, ' ')})`,
      whatToInstall(),
    );
  }
  rmSync(join(draft, 'apt'), { recursive: true, force: true });
  writeStamp(join(draft, '.stamp'), stamp);
  renameSync(draft, folder);
  progress(`Debian packages unpacked in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

async function download(draft: string, release: Release): Promise<void> {
  const needsBackports = WIREGUARD_GO_FROM_BACKPORTS.has(release.codename);
  progress('reading the package lists of the Debian mirror');
  const apt = await openPrivateApt(join(draft, 'apt'), release, needsBackports);
  const wireguardGo = needsBackports
    ? `wireguard-go/${release.codename}-backports`
    : 'wireguard-go';
  await downloadWithDependencies(apt, [...PACKAGES, wireguardGo], (size) =>
    progress(`downloading ${size} of Debian packages`),
  );
  progress('downloading the kernel for virtual machines');
  await downloadBehindMetapackage(apt, KERNEL_METAPACKAGE);
}

async function unpack(draft: string): Promise<void> {
  const root = join(draft, 'root');
  mkdirSync(root, { recursive: true });
  const archives = join(draft, 'apt', 'cache', 'archives');
  const packages = readdirSync(archives).filter((name) => name.endsWith('.deb'));
  progress(`unpacking ${packages.length} Debian packages`);
  for (const name of packages) await run('dpkg-deb', ['--extract', join(archives, name), root]);
  for (const unused of ['usr/share/doc', 'usr/share/man', 'usr/share/locale']) {
    rmSync(join(root, unused), { recursive: true, force: true });
  }
  const binDir = join(draft, 'bin');
  const missing = await makeLaunchers(root, binDir, COMMANDS);
  if (missing.length > 0) throw new Error(`the packages do not hold ${missing.join(', ')}`);
  await run(join(binDir, 'depmod'), ['--basedir', root, kernelRelease(root)]);
}

function describe(folder: string): DebianCache {
  const root = join(folder, 'root');
  const release = kernelRelease(root);
  return {
    binDir: join(folder, 'bin'),
    kernel: {
      release,
      image: join(root, 'boot', `vmlinuz-${release}`),
      modulesDir: join(root, 'lib', 'modules', release),
    },
  };
}

function kernelRelease(root: string): string {
  const image = readdirSync(join(root, 'boot')).find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined) throw new Error('the kernel package holds no kernel');
  return image.slice('vmlinuz-'.length);
}

if (import.meta.main) {
  try {
    process.stdout.write(`${JSON.stringify(await prepareDebianCache(), null, 2)}\n`);
  } catch (error) {
    printFailure(error);
    process.exitCode = 1;
  }
}

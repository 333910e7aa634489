import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, open } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { DataplaneError } from './dataplane-error.ts';

/** How a command ended. */
export interface CommandResult {
  /** Null: killed by a signal, for instance at its time limit. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command is given. */
export interface CommandInput {
  /** Written to standard input, which is closed afterwards. */
  readonly stdin?: string;
  /** The command is killed after this time; default 10 s. */
  readonly timeoutMs?: number;
}

/** A process that outlives this one. */
export interface DetachedProcess {
  readonly pid: number;
  /** Resolves when it ends, if that is during this process' life. */
  readonly exited: Promise<void>;
}

/**
 * Runs programs found through PATH, without a shell. Every call throws DataplaneError(`command-missing`), naming the
 * Debian package, where the program is not installed. Standard input and output appear in no error; standard error does.
 */
export interface CommandRunner {
  /** Whether commands run in this process' own network namespace. */
  readonly isLocal: boolean;
  /** Runs to the end; throws DataplaneError(`command-failed`) unless the exit code is 0. */
  run(command: string, args: readonly string[], input?: CommandInput): Promise<CommandResult>;
  /** Runs to the end, whatever the exit code. */
  probe(command: string, args: readonly string[], input?: CommandInput): Promise<CommandResult>;
  /** Calls `onLine` for each line of output until the command ends or `signal` aborts. */
  follow(
    command: string,
    args: readonly string[],
    listener: { readonly onLine: (line: string) => void; readonly signal: AbortSignal },
  ): Promise<void>;
  /** Starts a program in a session of its own with its output appended to `logPath` (mode 0600). */
  startDetached(
    command: string,
    args: readonly string[],
    logPath: string,
  ): Promise<DetachedProcess>;
}

/** Options of `createCommandRunner`. */
export interface CommandRunnerOptions {
  /** A command that runs the given one elsewhere, for instance `ip netns exec NAME`. Default: none. */
  readonly prefix?: readonly string[];
  /** Folders in which programs are looked for; default: the process' PATH. */
  readonly searchPath?: string;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** Debian packages of the programs that the data plane runs. */
const DEBIAN_PACKAGES: ReadonlyMap<string, string> = new Map([
  ['ip', 'iproute2'],
  ['ss', 'iproute2'],
  ['nft', 'nftables'],
  ['wg', 'wireguard-tools'],
  ['wireguard-go', 'wireguard-go of bookworm-backports'],
  ['resolvectl', 'systemd-resolved'],
  ['resolvconf', 'openresolv'],
  ['systemd-run', 'systemd'],
  ['systemctl', 'systemd'],
]);

/** Makes the runner that every adapter shares. */
export function createCommandRunner(options: CommandRunnerOptions = {}): CommandRunner {
  const prefix = options.prefix ?? [];
  const searchPath = options.searchPath ?? process.env['PATH'] ?? '';
  async function resolve(command: string, args: readonly string[]): Promise<[string, string[]]> {
    const program = await findProgram(command, searchPath);
    const [first, ...rest] = [...prefix, program, ...args];
    return [first ?? program, rest];
  }
  const probe: CommandRunner['probe'] = async (command, args, input = {}) =>
    runToEnd(await resolve(command, args), input);
  return {
    isLocal: prefix.length === 0,
    probe,
    run: async (command, args, input) => {
      const result = await probe(command, args, input);
      if (result.exitCode === 0) return result;
      throw commandFailed([command, ...args].join(' '), result);
    },
    follow: async (command, args, listener) => followLines(await resolve(command, args), listener),
    startDetached: async (command, args, logPath) =>
      startInOwnSession(await resolve(command, args), logPath),
  };
}

async function findProgram(command: string, searchPath: string): Promise<string> {
  for (const folder of searchPath.split(delimiter).filter((entry) => entry !== '')) {
    const path = join(folder, command);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  throw new DataplaneError(
    'command-missing',
    `The program ${command} is not installed.`,
    `Install the Debian package ${DEBIAN_PACKAGES.get(command) ?? command}.`,
  );
}

function commandFailed(commandLine: string, result: CommandResult): DataplaneError {
  const said = result.stderr.trim().split('\n').slice(0, 5).join('; ');
  const end = result.exitCode === null ? 'was killed' : `failed with exit code ${result.exitCode}`;
  return new DataplaneError(
    'command-failed',
    `\`${commandLine}\` ${end}: ${said === '' ? 'it said nothing' : said}.`,
    'Run nexd as root and see the message of the command.',
  );
}

/**
 * What a program is told of our environment: where programs are, and to speak untranslated. A secret given to nexd in a
 * variable must not live on in a process that outlives it.
 */
function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C' };
}

async function runToEnd(
  [program, args]: [string, string[]],
  input: CommandInput,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: input.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => {
      // The command ended without reading its input; its exit code tells the rest.
    });
    child.on('error', (cause) => reject(notStarted(program, cause)));
    child.on('close', (exitCode) =>
      resolve({
        exitCode,
        stdout: Buffer.concat(stdout).toString('utf8'),
        stderr: Buffer.concat(stderr).toString('utf8'),
      }),
    );
    child.stdin.end(input.stdin ?? '');
  });
}

async function followLines(
  [program, args]: [string, string[]],
  listener: { readonly onLine: (line: string) => void; readonly signal: AbortSignal },
): Promise<void> {
  if (listener.signal.aborted) return;
  await new Promise<void>((resolve, reject) => {
    const child = spawn(program, args, {
      env: environment(),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const stop = () => child.kill('SIGTERM');
    listener.signal.addEventListener('abort', stop, { once: true });
    createInterface({ input: child.stdout }).on('line', listener.onLine);
    child.on('error', (cause) => reject(notStarted(program, cause)));
    child.on('close', () => {
      listener.signal.removeEventListener('abort', stop);
      resolve();
    });
  });
}

async function startInOwnSession(
  [program, args]: [string, string[]],
  logPath: string,
): Promise<DetachedProcess> {
  const log = await open(logPath, 'a', 0o600);
  try {
    const child = spawn(program, args, {
      detached: true,
      env: environment(),
      stdio: ['ignore', log.fd, log.fd],
    });
    const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(notStarted(program, cause)));
    });
    child.unref();
    return { pid: child.pid ?? 0, exited };
  } finally {
    await log.close();
  }
}

function notStarted(program: string, cause: unknown): DataplaneError {
  return new DataplaneError(
    'command-failed',
    `${program} could not be started.`,
    'Check that it is executable and that the machine has memory and process ids left.',
    { cause },
  );
}

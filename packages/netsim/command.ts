import { spawn } from 'node:child_process';

/** How a program ended: exactly one of the two is not null. */
export type ExitStatus = {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
};

/** What a program that ran to its end left behind. */
export type CommandResult = {
  readonly stdout: string;
  readonly stderr: string;
  /** The exit status, or -1 when a signal ended the program. */
  readonly exitCode: number;
};

/** Settings of one run of a program. */
export type CommandOptions = {
  /** Written to the program's standard input, which is then closed. Default: an empty input. */
  readonly stdin?: string | Uint8Array;
  /** The program is killed and the run fails after this long. Default 30,000. */
  readonly timeoutMs?: number;
  /** Kills the program and fails the run when it aborts. */
  readonly signal?: AbortSignal;
  /** Working directory. Default: that of this process. */
  readonly cwd?: string;
  /** The whole environment. Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv;
};

/** A program that could not be started, ran out of time, was cancelled, or (where its success was asked for) failed. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly result: CommandResult | undefined;

  constructor(message: string, options: { result?: CommandResult; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.result = options.result;
  }
}

/** Time between a program's exit and the end of our patience with a child of its that keeps the output open. */
const OUTPUT_GRACE_MS = 1_000;

/**
 * Runs a program to its end and collects its output. A non-zero exit status is a result, not an error.
 *
 * @throws CommandError when the program cannot be started, exceeds `timeoutMs` or is aborted.
 */
export function runCommand(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const [file = '', ...args] = argv;
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>();
  const timeoutMs = options.timeoutMs ?? 30_000;
  const timeout = AbortSignal.timeout(timeoutMs);
  const cancel =
    options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    signal: cancel,
    killSignal: 'SIGKILL',
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const collected = (exitCode: number): CommandResult => ({
    stdout: Buffer.concat(stdout).toString(),
    stderr: Buffer.concat(stderr).toString(),
    exitCode,
  });
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => {
    // The program ended without reading its input; its exit status tells the story.
  });
  child.once('error', (cause) => {
    const why = timeout.aborted
      ? `ran longer than ${timeoutMs} ms`
      : cancel.aborted
        ? 'was cancelled'
        : cause.message;
    reject(new CommandError(`${argv.join(' ')}: ${why}`, { result: collected(-1), cause }));
  });
  child.once('exit', () => {
    const grace = setTimeout(() => {
      child.stdout.destroy();
      child.stderr.destroy();
    }, OUTPUT_GRACE_MS);
    child.once('close', () => clearTimeout(grace));
  });
  child.once('close', (code) => resolve(collected(code ?? -1)));
  child.stdin.end(options.stdin ?? '');
  return promise;
}

/**
 * Runs a program that must succeed and gives its standard output.
 *
 * @throws CommandError as `runCommand` does, and when the exit status is not 0.
 */
export async function runChecked(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await runCommand(argv, options);
  if (result.exitCode === 0) return result.stdout;
  const said = (result.stderr.trim() || result.stdout.trim()).slice(-2_000);
  throw new CommandError(`${argv.join(' ')}: exit status ${result.exitCode}: ${said}`, { result });
}

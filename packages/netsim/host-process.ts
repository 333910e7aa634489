import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { CommandError } from './command.ts';
import type { CommandOptions, ExitStatus } from './command.ts';
import { LineLog } from './line-log.ts';

/** How a process is asked to end. */
export type StopOptions = {
  /** First asked with this signal. Default SIGTERM. */
  readonly signal?: NodeJS.Signals;
  /** SIGKILL follows after this long. Default 10,000. */
  readonly graceMs?: number;
};

/** Which lines a wait looks at. */
export type WaitForLineOptions = {
  /** Fails the wait when no line matched after this long. */
  readonly deadlineMs: number;
  /** Lines before this position (see `lineCount`) are passed over. Default 0: what was already written counts. */
  readonly from?: number;
};

/** A running program whose output can be followed line by line. */
export interface HostProcess extends AsyncDisposable {
  /** The program's own process id as this machine sees it. */
  readonly pid: number;
  /** Settles when the program has ended and its output is read; never rejects. */
  readonly exited: Promise<ExitStatus>;
  /** Lines written so far to standard output and error together: a position for `lines` and `waitForLine`. */
  readonly lineCount: number;
  /** The program's standard input. */
  readonly stdin: Writable;
  /** Lines of standard output and error, in order of arrival, from the first or from a position, until the program ends. */
  lines(from?: number): AsyncIterable<string>;
  /** The last `count` lines (default 20), for messages. */
  tail(count?: number): readonly string[];
  /**
   * The first line that matches.
   *
   * @throws CommandError with the last lines when the deadline passes or the program ends first.
   */
  waitForLine(pattern: RegExp, options: WaitForLineOptions): Promise<RegExpExecArray>;
  /** Sends a signal to the program alone, not to its children; false when it has ended. */
  signal(name: NodeJS.Signals): boolean;
  /** Ends the program alone (its children live on) and gives how it ended; a second call gives the same. */
  stop(options?: StopOptions): Promise<ExitStatus>;
}

/** Time between a program's exit and the end of our patience with a child of its that keeps the output open. */
const OUTPUT_GRACE_MS = 1_000;

/**
 * Starts a program and returns once it runs.
 *
 * @throws CommandError when it cannot be started.
 */
export async function startProcess(
  argv: readonly string[],
  options: Pick<CommandOptions, 'cwd' | 'env'> = {},
): Promise<HostProcess> {
  const [file = '', ...args] = argv;
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new CommandError(`${argv.join(' ')}: cannot be started`, { cause });
  }
  return new SpawnedProcess(argv, child);
}

class SpawnedProcess implements HostProcess {
  readonly pid: number;
  readonly exited: Promise<ExitStatus>;
  readonly stdin: Writable;
  readonly #argv: readonly string[];
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #log = new LineLog();

  constructor(argv: readonly string[], child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.#argv = argv;
    this.#child = child;
    this.pid = child.pid ?? -1;
    this.stdin = child.stdin;
    this.stdin.on('error', () => {
      // The program closed its input; how it ended is told by `exited`.
    });
    child.stdout
      .setEncoding('utf8')
      .on('data', (chunk: string) => this.#log.append('stdout', chunk));
    child.stderr
      .setEncoding('utf8')
      .on('data', (chunk: string) => this.#log.append('stderr', chunk));
    this.exited = this.#watchExit();
  }

  get lineCount(): number {
    return this.#log.lineCount;
  }

  lines(from?: number): AsyncIterable<string> {
    return this.#log.lines(from);
  }

  tail(count = 20): readonly string[] {
    return this.#log.tail(count);
  }

  async waitForLine(pattern: RegExp, options: WaitForLineOptions): Promise<RegExpExecArray> {
    const expired = Promise.withResolvers<'expired'>();
    const timer = setTimeout(() => expired.resolve('expired'), options.deadlineMs);
    const lines = this.#log.lines(options.from);
    try {
      for (;;) {
        const step = await Promise.race([lines.next(), expired.promise]);
        if (step === 'expired')
          throw this.#waitError(pattern, `not within ${options.deadlineMs} ms`);
        if (step.done === true) throw this.#waitError(pattern, 'not before the program ended');
        const match = new RegExp(pattern.source, pattern.flags.replace('g', '')).exec(step.value);
        if (match !== null) return match;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  signal(name: NodeJS.Signals): boolean {
    return this.#child.kill(name);
  }

  async stop(options: StopOptions = {}): Promise<ExitStatus> {
    this.#child.kill(options.signal ?? 'SIGTERM');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), options.graceMs ?? 10_000);
    try {
      return await this.exited;
    } finally {
      clearTimeout(kill);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #watchExit(): Promise<ExitStatus> {
    const { promise, resolve } = Promise.withResolvers<ExitStatus>();
    const child = this.#child;
    child.once('exit', () => {
      const grace = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, OUTPUT_GRACE_MS);
      child.once('close', () => clearTimeout(grace));
    });
    child.once('close', (exitCode, signal) => {
      this.#log.end();
      resolve({ exitCode, signal });
    });
    return promise;
  }

  #waitError(pattern: RegExp, why: string): CommandError {
    const tail = this.tail().map((line) => `  ${line}`);
    return new CommandError(
      [
        `${this.#argv.join(' ')}: no line matches ${String(pattern)}, ${why}; last lines:`,
        ...tail,
      ].join('\n'),
    );
  }
}

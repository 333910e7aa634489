import type { HostProcess, VirtualHost } from '@nexodus/netsim';
import type { AnswerLine, CallLine, Calls } from './answer-calls.ts';

/** A program of this folder that runs on a virtual host. */
export interface RunningProgram<C extends Calls> extends AsyncDisposable {
  readonly pid: number;
  /**
   * Calls it and waits.
   *
   * @throws Error with the program's words, or its last lines where it has ended
   */
  call<K extends keyof C & string>(
    name: K,
    ...argument: Parameters<C[K]>
  ): Promise<Awaited<ReturnType<C[K]>>>;
  /** Ends it. Safe to call again. */
  stop(): Promise<void>;
}

/** A program, and where it is to run. */
export interface ProgramPlan {
  readonly host: VirtualHost;
  /** File of this folder. */
  readonly file: string;
  readonly config?: unknown;
  /** Arguments of Node itself. */
  readonly nodeArguments?: readonly string[];
}

const START_DEADLINE_MS = 20_000;

/** Starts a program and returns when it can be called. */
export async function startProgram<C extends Calls>(plan: ProgramPlan): Promise<RunningProgram<C>> {
  const { pathname } = new URL(plan.file, import.meta.url);
  const process_ = await plan.host.spawn(process.execPath, [
    ...(plan.nodeArguments ?? []),
    pathname,
    JSON.stringify(plan.config ?? null),
  ]);
  await process_.waitForLine(/^\{"ready":true\}$/, { deadlineMs: START_DEADLINE_MS });
  return new HostedProgram<C>(process_);
}

class HostedProgram<C extends Calls> implements RunningProgram<C> {
  readonly #process: HostProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #nextId = 0;

  constructor(process_: HostProcess) {
    this.#process = process_;
    void this.#read();
  }

  get pid(): number {
    return this.#process.pid;
  }

  async call<K extends keyof C & string>(
    name: K,
    ...argument: Parameters<C[K]>
  ): Promise<Awaited<ReturnType<C[K]>>> {
    const line: CallLine = { id: (this.#nextId += 1), call: name, argument: argument[0] };
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(line.id, answer);
    this.#process.stdin.write(`${JSON.stringify(line)}\n`);
    return (await answer.promise) as Awaited<ReturnType<C[K]>>; // what the call of that name returns
  }

  async stop(): Promise<void> {
    this.#process.stdin.end();
    const patience = setTimeout(() => this.#process.signal('SIGKILL'), 10_000);
    await this.#process.exited;
    clearTimeout(patience);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #read(): Promise<void> {
    for await (const line of this.#process.lines()) {
      if (!line.startsWith('{"id":')) continue;
      const { id, error, result } = JSON.parse(line) as AnswerLine; // answer-calls.ts wrote it
      const answer = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) answer?.resolve(result);
      else answer?.reject(new Error(error));
    }
    const last = this.#process.tail(10).join('\n');
    for (const { reject } of this.#waiting.values()) reject(new Error(`it has ended:\n${last}`));
  }
}

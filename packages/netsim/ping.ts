import { CommandError } from './command.ts';
import type { HostProcess } from './host-process.ts';
import { parsePingLine } from './ping-output.ts';
import type { VirtualHost } from './virtual-host.ts';

/** How echoes are sent. */
export type PingOptions = {
  /** Time between echo requests. Default 200. */
  readonly intervalMs?: number;
  /** Bytes of payload per request. Default: ping's own (56). */
  readonly sizeBytes?: number;
};

/** How echoes are sent when their number is known. */
export type CountedPingOptions = PingOptions & {
  /** Requests to send. Default 3. */
  readonly count?: number;
  /** Time a request may stay unanswered after the last one was sent. Default 2,000. */
  readonly replyTimeoutMs?: number;
};

/** What became of a number of echo requests. */
export type PingResult = {
  readonly sent: number;
  /** Requests that were answered, duplicates not counted. */
  readonly received: number;
  /** Round trip times in the order of the answers' arrival. */
  readonly rttMs: readonly number[];
  /** Sequence numbers (from 1) of requests without an answer, ascending. */
  readonly lost: readonly number[];
};

/** An unending ping that keeps book. */
export interface RunningPing extends AsyncDisposable {
  /** The highest sequence number answered so far; 0 before the first answer. */
  readonly lastAnswered: number;
  /**
   * Settles at the next answer with a number above `after` (default: `lastAnswered` at the time of the call).
   *
   * @throws CommandError when the deadline passes first.
   */
  waitForReply(options: { readonly deadlineMs: number; readonly after?: number }): Promise<void>;
  /**
   * Ends it. The last request counts as sent only when it was answered: it may still have been under way. Requests
   * before it count as lost when unanswered, so with a round trip above the interval the last few may be counted wrongly.
   */
  stop(): Promise<PingResult>;
}

/** Sends a number of echo requests and waits for the answers. No answer, or no route, is a result and no error. */
export async function ping(
  host: VirtualHost,
  address: string,
  options: CountedPingOptions = {},
): Promise<PingResult> {
  const count = options.count ?? 3;
  const replyTimeoutMs = options.replyTimeoutMs ?? 2_000;
  const args = [
    ...pingArguments(address, options),
    '-c',
    String(count),
    '-W',
    String(replyTimeoutMs / 1_000),
  ];
  const timeoutMs = count * (options.intervalMs ?? 200) + replyTimeoutMs + 20_000;
  const { stdout, stderr } = await host.exec('ping', args.slice(), { timeoutMs });
  const book = new EchoBook();
  for (const line of stdout.split('\n')) book.read(line);
  if (book.sent === undefined && !/unreachable/i.test(stderr)) {
    throw new CommandError(`${host.name}: ping ${address} did not run: ${stderr.trim()}`);
  }
  return book.result(book.sent ?? count);
}

/** Starts an unending ping; its requests that could not even be sent count as lost too. */
export async function startPing(
  host: VirtualHost,
  address: string,
  options: PingOptions = {},
): Promise<RunningPing> {
  const process = await host.spawn('ping', pingArguments(address, options));
  return new ProcessPing(process);
}

function pingArguments(address: string, options: PingOptions): readonly string[] {
  const size = options.sizeBytes === undefined ? [] : ['-s', String(options.sizeBytes)];
  return ['-n', '-i', String((options.intervalMs ?? 200) / 1_000), ...size, address];
}

class EchoBook {
  readonly rttMs: number[] = [];
  readonly #answered = new Set<number>();
  lastAnswered = 0;
  sent: number | undefined;

  read(line: string): void {
    const event = parsePingLine(line);
    if (event?.kind === 'summary') this.sent = event.sent;
    if (event?.kind !== 'reply' || event.isDuplicate) return;
    this.#answered.add(event.sequence);
    this.rttMs.push(event.rttMs);
    this.lastAnswered = Math.max(this.lastAnswered, event.sequence);
  }

  result(sent: number): PingResult {
    const sequences = Array.from({ length: sent }, (_, index) => index + 1);
    const lost = sequences.filter((sequence) => !this.#answered.has(sequence));
    return { sent, received: this.#answered.size, rttMs: this.rttMs, lost };
  }
}

class ProcessPing implements RunningPing {
  readonly #process: HostProcess;
  readonly #book = new EchoBook();
  readonly #reading: Promise<void>;
  #answered = Promise.withResolvers<void>();

  constructor(process: HostProcess) {
    this.#process = process;
    this.#reading = this.#read();
  }

  get lastAnswered(): number {
    return this.#book.lastAnswered;
  }

  async waitForReply(options: {
    readonly deadlineMs: number;
    readonly after?: number;
  }): Promise<void> {
    const after = options.after ?? this.lastAnswered;
    const expired = Promise.withResolvers<'expired'>();
    const timer = setTimeout(() => expired.resolve('expired'), options.deadlineMs);
    try {
      while (this.lastAnswered <= after) {
        const step = await Promise.race([
          this.#answered.promise,
          this.#process.exited,
          expired.promise,
        ]);
        if (step !== undefined)
          throw new CommandError(`ping: no answer after #${after} within ${options.deadlineMs} ms`);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<PingResult> {
    await this.#process.stop({ signal: 'SIGINT' });
    await this.#reading;
    const sent = this.#book.sent;
    if (sent === undefined)
      throw new CommandError(`ping did not run: ${this.#process.tail().join(' ')}`);
    return this.#book.result(this.lastAnswered >= sent ? sent : sent - 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop({ signal: 'SIGINT' });
  }

  async #read(): Promise<void> {
    for await (const line of this.#process.lines()) {
      const before = this.lastAnswered;
      this.#book.read(line);
      if (this.lastAnswered === before) continue;
      this.#answered.resolve();
      this.#answered = Promise.withResolvers();
    }
  }
}

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

/**
 * Sends a number of echo requests, waits for the answers, and ends early when all have come. No answer, or no route, is a
 * result and no error. While it waits it sends on; what comes of that does not count. (Asked for a number of requests, ping
 * itself waits for its last answer only twice as long as its slowest took: a hiccup of the machine would be a loss.)
 */
export async function ping(
  host: VirtualHost,
  address: string,
  options: CountedPingOptions = {},
): Promise<PingResult> {
  const { count = 3, intervalMs = 200, replyTimeoutMs = 2_000 } = options;
  await using running = await spawnPing(host, address, options);
  const sendTimeoutMs = count * intervalMs + SEND_GRACE_MS;
  return await running.answersTo(count, { sendTimeoutMs, replyTimeoutMs });
}

/** Longer than a busy machine is late. */
const SEND_GRACE_MS = 20_000;

/** Starts an unending ping; its requests that could not even be sent count as lost too. */
export async function startPing(
  host: VirtualHost,
  address: string,
  options: PingOptions = {},
): Promise<RunningPing> {
  return spawnPing(host, address, options);
}

async function spawnPing(
  host: VirtualHost,
  address: string,
  { intervalMs = 200, sizeBytes }: PingOptions,
): Promise<ProcessPing> {
  const size = sizeBytes === undefined ? [] : ['-s', String(sizeBytes)];
  const args = ['-n', '-O', '-i', String(intervalMs / 1_000), ...size, address];
  return new ProcessPing(await host.spawn('ping', args));
}

class EchoBook {
  /** By sequence number, in the order of arrival. */
  readonly #rttMs = new Map<number, number>();
  lastAnswered = 0;
  /** The highest that is known to have been sent. */
  lastSent = 0;
  sent: number | undefined;

  read(line: string): void {
    const event = parsePingLine(line);
    if (event?.kind === 'summary') this.sent = event.sent;
    else if (event !== undefined) this.lastSent = Math.max(this.lastSent, event.sequence);
    if (event?.kind !== 'reply' || event.isDuplicate) return;
    this.#rttMs.set(event.sequence, event.rttMs);
    this.lastAnswered = Math.max(this.lastAnswered, event.sequence);
  }

  result(sent: number): PingResult {
    const sequences = Array.from({ length: sent }, (_, index) => index + 1);
    const lost = sequences.filter((sequence) => !this.#rttMs.has(sequence));
    const rttMs = [...this.#rttMs].flatMap(([sequence, time]) => (sequence > sent ? [] : [time]));
    return { sent, received: sent - lost.length, rttMs, lost };
  }
}

class ProcessPing implements RunningPing {
  readonly #process: HostProcess;
  readonly #book = new EchoBook();
  readonly #reading: Promise<void>;
  #heard = Promise.withResolvers<'heard'>();

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
    if (!(await this.#waitUntil(() => this.lastAnswered > after, options.deadlineMs)))
      throw new CommandError(`ping: no answer after #${after} within ${options.deadlineMs} ms`);
  }

  /** Ends once the first `count` are answered, or so long after the last of them was sent. */
  async answersTo(
    count: number,
    timeouts: { readonly sendTimeoutMs: number; readonly replyTimeoutMs: number },
  ): Promise<PingResult> {
    const result = (): PingResult => this.#book.result(count);
    await this.#waitUntil(() => this.#book.lastSent >= count, timeouts.sendTimeoutMs);
    await this.#waitUntil(() => result().lost.length === 0, timeouts.replyTimeoutMs);
    await this.#end();
    const said = this.#process.tail().join(' ');
    if (this.#book.sent === undefined && !/unreachable/i.test(said))
      throw new CommandError(`ping did not run: ${said}`);
    return result();
  }

  async stop(): Promise<PingResult> {
    await this.#end();
    const sent = this.#book.sent;
    if (sent === undefined)
      throw new CommandError(`ping did not run: ${this.#process.tail().join(' ')}`);
    return this.#book.result(this.lastAnswered >= sent ? sent : sent - 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop({ signal: 'SIGINT' });
  }

  async #end(): Promise<void> {
    await this.#process.stop({ signal: 'SIGINT' });
    await this.#reading;
  }

  /** Says whether it came true; false when the time or the program ended first. */
  async #waitUntil(isTrue: () => boolean, timeoutMs: number): Promise<boolean> {
    const expired = Promise.withResolvers<'expired'>();
    const timer = setTimeout(() => expired.resolve('expired'), timeoutMs);
    try {
      while (!isTrue()) {
        const step = await Promise.race([this.#heard.promise, this.#reading, expired.promise]);
        if (step !== 'heard') return isTrue();
      }
      return true;
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(): Promise<void> {
    for await (const line of this.#process.lines()) {
      this.#book.read(line);
      this.#heard.resolve('heard');
      this.#heard = Promise.withResolvers();
    }
  }
}

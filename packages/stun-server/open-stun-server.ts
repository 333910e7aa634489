import { randomInt } from 'node:crypto';
import { type SourceLimit, sourceLimiterBytes } from '@nexodus/stun-responder';
import {
  startUdpWorker,
  type UdpAdapter,
  UdpSocketError,
  type UdpWorker,
} from '@nexodus/udp-batch';
import { planSockets, type StunAddress, type StunDiscovery } from './socket-plan.ts';
import { StunCounters, type StunCounts } from './stun-counters.ts';
import type { StunThreadData, StunThreadWord } from './stun-program.ts';

/** The form of a server. */
export interface StunServerOptions {
  /** Addresses of this machine, with the ports to have; at least one. */
  readonly listen: readonly StunAddress[];
  /** For NAT discovery (RFC 5780); clients must reach these addresses as they are. */
  readonly discovery?: StunDiscovery;
  /** What answers name the server, at most 12 characters of ASCII. */
  readonly software: string;
  /** What one source may ask of all threads together. */
  readonly limit: SourceLimit;
  /** Threads, among which the system spreads the sources; about one for each core. */
  readonly threads: number;
  /** How sockets are read. Default `auto`: batched where the machine can. */
  readonly adapter?: UdpAdapter | 'auto';
  /** Called once when a thread ended by itself; all others have been told to stop. */
  readonly onFailure: (error: Error) => void;
}

/** A server that answers. */
export interface StunServer {
  readonly adapter: UdpAdapter;
  /** Why it is not the batched one; undefined where it is, or where it was not wanted. */
  readonly fallbackReason: string | undefined;
  /** What became of datagrams since the start. */
  counts(): StunCounts;
  /** Closes all sockets. Safe to call again. */
  stop(): Promise<void>;
}

/** Several requests of a short burst wait in the kernel while a thread works. */
const RECEIVE_BUFFER_BYTES = 4 * 1_048_576;

/** A request and its answer fit; larger datagrams are no request that would be answered. */
const DATAGRAM_BYTES = 1_536;

/**
 * Opens the sockets of a server, in each of its threads.
 *
 * @throws {UdpSocketError} whose message names the address that cannot be opened; nothing stays open then
 * @throws {RangeError} for a second address or port that is a first one, and for discovery on a wildcard address
 */
export async function openStunServer(options: StunServerOptions): Promise<StunServer> {
  const server = new ThreadedStunServer(options);
  await server.start();
  return server;
}

class ThreadedStunServer implements StunServer {
  readonly #options: StunServerOptions;
  readonly #counters: StunCounters;
  readonly #workers: UdpWorker[] = [];
  #isStopping = false;

  constructor(options: StunServerOptions) {
    this.#options = options;
    this.#counters = StunCounters.of(options.threads);
  }

  get adapter(): UdpAdapter {
    return this.#workers[0]?.adapter ?? 'dgram';
  }

  get fallbackReason(): string | undefined {
    return this.#workers[0]?.fallbackReason;
  }

  async start(): Promise<void> {
    const { discovery, limit, listen, software, threads } = this.#options;
    const common = {
      plan: planSockets(listen, discovery),
      isShared: threads > 1,
      tellsOrigin: discovery !== undefined,
      software,
      limit,
      limiterStorage: new SharedArrayBuffer(sourceLimiterBytes(limit)),
      limiterSeed: randomInt(2 ** 32),
      counters: this.#counters.storage,
      timeOriginMs: performance.timeOrigin,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    };
    try {
      for (let thread = 0; thread < threads; thread += 1) {
        await this.#startThread({ ...common, thread });
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  counts(): StunCounts {
    return this.#counters.read();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  async #startThread(data: StunThreadData): Promise<void> {
    const opened = Promise.withResolvers<void>();
    const worker = await startUdpWorker({
      entry: new URL('./stun-thread.ts', import.meta.url),
      adapter: this.#options.adapter ?? 'auto',
      loop: { datagramBytes: DATAGRAM_BYTES },
      data,
      onMessage: (message) => {
        // The other end of the channel is stun-program.ts.
        const word = message as StunThreadWord;
        if (word.kind === 'open') opened.resolve();
        else opened.reject(new UdpSocketError(word.code, textOf(word.address)));
      },
      onFailure: (error) => {
        opened.reject(error);
        this.#failed(error);
      },
    });
    this.#workers.push(worker);
    await opened.promise;
  }

  #failed(error: Error): void {
    if (this.#isStopping) return;
    void this.stop();
    this.#options.onFailure(error);
  }
}

function textOf({ host, port }: StunAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

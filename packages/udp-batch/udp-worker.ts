import { closeSync, writeSync } from 'node:fs';
import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import type { UdpAdapter, UdpLoopOptions } from './udp-loop.ts';
import type { FromUdpWorker, ToUdpWorker, UdpWorkerData } from './udp-worker-protocol.ts';

/** How long a worker may take to end in order before it is terminated. */
const STOP_DEADLINE_MS = 5_000;
/** A datagram and an aggregate of datagrams at most. */
const MAX_DATAGRAM_BYTES = 65_535;
/** What is added to the counter of an eventfd(2). */
const ONE = new BigUint64Array([1n]);

/** What a worker is started with. */
export interface UdpWorkerOptions {
  /** Module that calls `runUdpWorker`. */
  readonly entry: URL;
  /** `auto` takes `koffi` where the machine has it, else `dgram`. */
  readonly adapter: UdpAdapter | 'auto';
  readonly loop?: UdpLoopOptions;
  /** For the program (structured clone; shared memory stays shared). */
  readonly data?: unknown;
  readonly transfer?: readonly Transferable[];
  /** The program posted. */
  readonly onMessage: (message: unknown) => void;
  /** The worker ended without being asked to: its sockets are closed. Called at most once, and only after the start. */
  readonly onFailure: (error: Error) => void;
}

/** A running worker thread with its UdpLoop. */
export interface UdpWorker {
  readonly adapter: UdpAdapter;
  /** Why `auto` did not take `koffi`. */
  readonly fallbackReason: string | undefined;
  /** Sends the program a message; lost when the worker has ended. */
  post(message: unknown, transfer?: readonly Transferable[]): void;
  /** Ends the program, which sends what it has queued, and closes its sockets. Safe to call again. */
  stop(): Promise<void>;
}

/**
 * Starts a worker thread and waits until its program is made.
 *
 * @throws Error that the program or the adapter threw
 */
export async function startUdpWorker(options: UdpWorkerOptions): Promise<UdpWorker> {
  const worker = new HostedUdpWorker(options);
  await worker.ready;
  return worker;
}

class HostedUdpWorker implements UdpWorker {
  adapter: UdpAdapter = 'dgram';
  fallbackReason: string | undefined;
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #channel = new MessageChannel();
  readonly #exited: Promise<void>;
  readonly #options: UdpWorkerOptions;
  #wakeFd: number | undefined;
  #state: 'starting' | 'running' | 'stopping' | 'ended' = 'starting';
  #error: Error | undefined;

  constructor(options: UdpWorkerOptions) {
    const { entry, adapter, data } = options;
    this.#options = options;
    const port = this.#channel.port2;
    const udpWorker: UdpWorkerData = { adapter, options: formOf(options.loop), port, data };
    this.#worker = new Worker(entry, {
      workerData: { udpWorker },
      transferList: [port, ...(options.transfer ?? [])],
    });
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.#worker.on('message', (message: FromUdpWorker) => this.#take(message, ready.resolve));
    this.#worker.on('error', (error) => {
      this.#error = error instanceof Error ? error : new Error(String(error));
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#end(ready.reject);
        resolve();
      });
    });
  }

  post(message: unknown, transfer: readonly Transferable[] = []): void {
    if (this.#state === 'ended') return;
    this.#tell({ kind: 'message', message }, transfer);
  }

  async stop(): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'stopping';
    this.#tell({ kind: 'stop' });
    const deadline = setTimeout(() => void this.#worker.terminate(), STOP_DEADLINE_MS);
    await this.#exited;
    clearTimeout(deadline);
  }

  #tell(message: ToUdpWorker, transfer: readonly Transferable[] = []): void {
    this.#channel.port1.postMessage(message, transfer);
    this.#wake();
  }

  #wake(): void {
    if (this.#wakeFd !== undefined) writeSync(this.#wakeFd, ONE);
  }

  #take(message: FromUdpWorker, ready: () => void): void {
    if (message.kind === 'message') {
      this.#options.onMessage(message.message);
      return;
    }
    this.adapter = message.adapter;
    this.fallbackReason = message.fallbackReason;
    this.#wakeFd = message.wakeFd;
    // Something may have been posted while there was nothing to wake it with.
    this.#wake();
    if (this.#state === 'starting') this.#state = 'running';
    ready();
  }

  #end(reject: (error: Error) => void): void {
    const before = this.#state;
    this.#state = 'ended';
    this.#channel.port1.close();
    if (this.#wakeFd !== undefined) closeSync(this.#wakeFd);
    this.#wakeFd = undefined;
    const error = this.#error ?? new Error('the worker of UDP sockets ended');
    if (before === 'running') this.#options.onFailure(error);
    else reject(error);
  }
}

function formOf(options: UdpLoopOptions = {}): Required<UdpLoopOptions> {
  const { batchSize = 64, receiveOffload = false } = options;
  const datagramBytes = receiveOffload ? MAX_DATAGRAM_BYTES + 1 : (options.datagramBytes ?? 2_048);
  if (!(batchSize >= 1 && batchSize <= 1_024)) {
    throw new RangeError(`a batch has 1 to 1,024 datagrams, not ${batchSize}`);
  }
  return { batchSize, receiveOffload, datagramBytes: Math.ceil(datagramBytes / 8) * 8 };
}

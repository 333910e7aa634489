import { FrameQueue, type FrameRun } from './frame-queue.ts';

/** What takes bytes in order and says of each piece when it has left. */
export interface ByteSink {
  write(bytes: Uint8Array, left: (error?: Error | null) => void): unknown;
}

/** How much a writer may hold. */
export interface FrameWriterOptions {
  readonly sink: ByteSink;
  /** Packets that wait while the sink is full, in bytes; beyond that the oldest are dropped. */
  readonly queueBytes: number;
  /** Calls back soon, after what arrives at the same time was read. Default `setImmediate`. */
  readonly schedule?: (flush: () => void) => void;
}

/** Handed to the sink and not yet gone, in bytes: enough to keep a fast line busy, little of it to be dropped no more. */
const WINDOW_BYTES = 262_144;

/** Written in one piece: four records of TLS. */
const BATCH_BYTES = 65_536;

/** Control frames that wait; a peer that provokes more without reading loses them. */
const CONTROL_MAX_BYTES = 65_536;

/**
 * Writes frames to a stream in few large pieces. What comes in while the process reads goes out together afterwards; what
 * the stream does not take waits in a bounded queue of the writer, where the oldest packets make room. Control frames go
 * ahead of packets and are never dropped for them.
 */
export class FrameWriter {
  readonly #sink: ByteSink;
  readonly #schedule: (flush: () => void) => void;
  readonly #packets: FrameQueue;
  #control: Uint8Array[] = [];
  #controlBytes = 0;
  #inFlightBytes = 0;
  #writtenBytes = 0;
  #isScheduled = false;
  #isClosed = false;

  constructor({ sink, queueBytes, schedule = setImmediate }: FrameWriterOptions) {
    this.#sink = sink;
    this.#schedule = schedule;
    this.#packets = new FrameQueue(queueBytes);
  }

  /** Whether the stream takes nothing at the moment, so that what is sent now waits. */
  get isFull(): boolean {
    return this.#inFlightBytes >= WINDOW_BYTES;
  }

  /** Bytes that wait, in the queue and in the stream. */
  get waitingBytes(): number {
    return this.#packets.bytes + this.#controlBytes + this.#inFlightBytes;
  }

  /** Bytes that have left so far. A peer is stalled where bytes wait and this does not grow. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Sends frames with packets; gives the number of frames that were dropped to make room. */
  sendPackets(run: FrameRun): number {
    if (this.#isClosed) return 0;
    const dropped = this.#packets.push(run);
    // A burst that is read at once must not fill the queue before the stream has had any of it.
    if (this.#packets.bytes >= BATCH_BYTES) this.#flush();
    else this.#flushSoon();
    return dropped;
  }

  /** Sends another frame, ahead of the packets that wait; false where too many of them wait already. */
  sendControl(frame: Uint8Array): boolean {
    if (this.#isClosed || this.#controlBytes + frame.length > CONTROL_MAX_BYTES) return false;
    this.#control.push(frame);
    this.#controlBytes += frame.length;
    this.#flushSoon();
    return true;
  }

  /** Forgets the packets that wait, hands the control frames to the stream, and takes nothing more. */
  close(): void {
    if (this.#isClosed) return;
    this.#packets.clear();
    this.#write(this.#nextBatch());
    this.#isClosed = true;
  }

  #flushSoon(): void {
    if (this.#isScheduled || this.isFull) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#isClosed && !this.isFull) {
      const batch = this.#nextBatch();
      if (batch.length === 0) return;
      this.#write(batch);
    }
  }

  #nextBatch(): Uint8Array[] {
    const control = this.#control;
    const runs = this.#packets.take(BATCH_BYTES);
    const packets = runs.map(({ bytes, start, end }) => bytes.subarray(start, end));
    this.#control = [];
    this.#controlBytes = 0;
    return control.length === 0 ? packets : [...control, ...packets];
  }

  #write(batch: readonly Uint8Array[]): void {
    const [first] = batch;
    if (first === undefined) return;
    const bytes = batch.length === 1 ? first : Buffer.concat(batch);
    this.#inFlightBytes += bytes.length;
    this.#sink.write(bytes, (error) => {
      this.#inFlightBytes -= bytes.length;
      this.#writtenBytes += bytes.length;
      // A stream that failed says so itself; there is nothing left to write to.
      if (error === undefined || error === null) this.#flush();
    });
  }
}

import { FRAME_HEADER_BYTES } from './wire-format.ts';

/** Whole frames, one after the other, from `start` to `end` of `bytes`. */
export interface FrameRun {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

interface QueuedRun {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/**
 * Frames that wait to be sent, bounded in bytes. When there is no room the oldest frames go: what waited longest is worth
 * least to those who wait for it, and a sender that hears of loss late slows down late.
 */
export class FrameQueue {
  readonly #maxBytes: number;
  /** From `#first` on; those before it were taken. */
  #runs: QueuedRun[] = [];
  #first = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds frames behind the others and gives the number of frames that were dropped to make room. */
  push({ bytes, start, end }: FrameRun): number {
    const last = this.#runs.at(-1);
    const follows = last !== undefined && last.bytes === bytes && last.end === start;
    if (follows) last.end = end;
    else this.#runs.push({ bytes, start, end });
    this.#bytes += end - start;
    let dropped = 0;
    while (this.#bytes > this.#maxBytes) {
      this.#dropOldest();
      dropped += 1;
    }
    return dropped;
  }

  /** Takes the oldest frames out: runs until at least `leastBytes` are together, or all. */
  take(leastBytes: number): readonly FrameRun[] {
    const taken: FrameRun[] = [];
    let total = 0;
    for (let run = this.#runs[this.#first]; run !== undefined; run = this.#runs[this.#first]) {
      if (total >= leastBytes) break;
      taken.push(run);
      total += run.end - run.start;
      this.#removeFirst();
    }
    this.#bytes -= total;
    return taken;
  }

  /** Forgets all that waits. */
  clear(): void {
    this.#runs = [];
    this.#first = 0;
    this.#bytes = 0;
  }

  #dropOldest(): void {
    const run = this.#runs[this.#first];
    if (run === undefined) return;
    const length = new DataView(run.bytes.buffer, run.bytes.byteOffset + run.start + 1, 4);
    const frameBytes = FRAME_HEADER_BYTES + length.getUint32(0);
    run.start += frameBytes;
    this.#bytes -= frameBytes;
    if (run.start >= run.end) this.#removeFirst();
  }

  #removeFirst(): void {
    this.#first += 1;
    if (this.#first === this.#runs.length) {
      this.#runs = [];
      this.#first = 0;
    } else if (this.#first > 1_024) {
      this.#runs = this.#runs.slice(this.#first);
      this.#first = 0;
    }
  }
}

import { DerpFormatError } from './derp-format-error.ts';
import { FRAME_HEADER_BYTES } from './wire-format.ts';

/**
 * One frame in the bytes that hold it: header from `start`, payload from `start + 5`, up to `end`. Frames that arrived in
 * one piece lie one after the other in the same `bytes`, so that a run of them can be passed on as one slice.
 */
export interface Frame {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * Cuts a stream into frames. Chunks go in with `push`, frames come out of `next` until it has none. Whole frames are not
 * copied; one that lies across chunks is put together in memory of its own, taken only when its length is known and
 * allowed. After an error the reader is of no more use.
 */
export class FrameReader {
  /** Longest payload that is read from now on. */
  maxPayloadBytes: number;
  #chunk = NOTHING;
  #offset = 0;
  /** A frame of which only a part has come: its header first, then all of it. */
  #partial: Uint8Array | undefined;
  #partialBytes = 0;

  constructor(maxPayloadBytes: number) {
    this.maxPayloadBytes = maxPayloadBytes;
  }

  /** Takes the next bytes of the stream. The reader refers to them until their frames are out. */
  push(chunk: Uint8Array): void {
    const left = this.#chunk.length - this.#offset;
    if (left === 0) {
      this.#chunk = chunk;
    } else {
      const joined = new Uint8Array(left + chunk.length);
      joined.set(this.#chunk.subarray(this.#offset));
      joined.set(chunk, left);
      this.#chunk = joined;
    }
    this.#offset = 0;
  }

  /**
   * The next whole frame, or undefined until more bytes are pushed.
   *
   * @throws {DerpFormatError} `frame` where its header says that it is longer than allowed
   */
  next(): Frame | undefined {
    if (this.#partial !== undefined) return this.#complete(this.#partial);
    const start = this.#offset;
    const available = this.#chunk.length - start;
    if (available < FRAME_HEADER_BYTES) {
      if (available > 0) this.#complete(this.#begin(FRAME_HEADER_BYTES));
      this.#release();
      return undefined;
    }
    const end = start + FRAME_HEADER_BYTES + this.#payloadBytes(this.#chunk, start);
    if (end > this.#chunk.length) return this.#complete(this.#begin(end - start));
    this.#offset = end;
    return { type: this.#chunk[start] ?? 0, bytes: this.#chunk, start, end };
  }

  #begin(size: number): Uint8Array {
    this.#partial = new Uint8Array(size);
    this.#partialBytes = 0;
    return this.#partial;
  }

  #complete(partial: Uint8Array): Frame | undefined {
    const taken = Math.min(partial.length - this.#partialBytes, this.#chunk.length - this.#offset);
    partial.set(this.#chunk.subarray(this.#offset, this.#offset + taken), this.#partialBytes);
    this.#offset += taken;
    this.#partialBytes += taken;
    if (this.#partialBytes < partial.length) {
      this.#release();
      return undefined;
    }
    const end = FRAME_HEADER_BYTES + this.#payloadBytes(partial, 0);
    if (end === partial.length) {
      this.#partial = undefined;
      return { type: partial[0] ?? 0, bytes: partial, start: 0, end };
    }
    const whole = this.#begin(end);
    whole.set(partial);
    this.#partialBytes = partial.length;
    return this.#complete(whole);
  }

  /** Lets go of a chunk that is read, so that a connection at rest holds none. */
  #release(): void {
    this.#chunk = NOTHING;
    this.#offset = 0;
  }

  #payloadBytes(bytes: Uint8Array, start: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset + start + 1, 4);
    const length = view.getUint32(0);
    if (length > this.maxPayloadBytes) {
      throw new DerpFormatError('frame', 'A frame is longer than allowed.');
    }
    return length;
  }
}

/** What a frame carries, in the memory that holds the frame. */
export function payloadOf({ bytes, start, end }: Frame): Uint8Array {
  return bytes.subarray(start + FRAME_HEADER_BYTES, end);
}

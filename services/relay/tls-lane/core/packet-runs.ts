import {
  KEY_BYTES,
  PACKET_OVERHEAD_BYTES,
  FRAME_HEADER_BYTES,
  isKeyAt,
  keyTextAt,
  turnIntoReceivePacket,
  type Frame,
} from '@nexodus/derp';

/** Frames of one sender for one destination that lie one after the other, as the destination is to get them. */
export interface PacketRun {
  /** The destination's key, as `keyTextAt` gives it. */
  readonly destination: string;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly packets: number;
}

/** Bytes of the packets themselves, without frames. */
export function packetBytes({ start, end, packets }: PacketRun): number {
  return end - start - packets * PACKET_OVERHEAD_BYTES;
}

/**
 * Gathers the sendPacket frames of one sender into runs, so that what goes to one destination is looked up, allowed and
 * sent once. The frames become receivePacket frames where they lie: nothing is copied.
 */
export class PacketRuns {
  readonly #source: Uint8Array;
  readonly #destination = new Uint8Array(KEY_BYTES);
  #bytes: Uint8Array | undefined;
  #start = 0;
  #end = 0;
  #packets = 0;

  /** @param source the sender's key, which the destinations get to see */
  constructor(source: Uint8Array) {
    this.#source = source;
  }

  /** Takes a sendPacket frame of at least a key; gives the run before it where it begins another. */
  add({ bytes, start, end }: Frame): PacketRun | undefined {
    const keyAt = start + FRAME_HEADER_BYTES;
    const follows = this.#bytes === bytes && this.#end === start;
    const before = follows && isKeyAt(bytes, keyAt, this.#destination) ? undefined : this.finish();
    if (this.#bytes === undefined) {
      this.#bytes = bytes;
      this.#start = start;
      this.#destination.set(bytes.subarray(keyAt, keyAt + KEY_BYTES));
    }
    turnIntoReceivePacket(bytes, start, this.#source);
    this.#end = end;
    this.#packets += 1;
    return before;
  }

  /** Gives the run that is gathered, if any; the next frame begins another. */
  finish(): PacketRun | undefined {
    const bytes = this.#bytes;
    if (bytes === undefined) return undefined;
    const run = {
      destination: keyTextAt(this.#destination, 0),
      bytes,
      start: this.#start,
      end: this.#end,
      packets: this.#packets,
    };
    this.#bytes = undefined;
    this.#packets = 0;
    return run;
  }
}

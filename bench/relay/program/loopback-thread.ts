/** The thread of a loopback socket in front of WireGuard: hands over what it sends, and gives it what comes for it. */
import {
  type OutgoingDatagram,
  type ReceivedBatch,
  runUdpWorker,
  type UdpHandlers,
  type UdpLoop,
} from '@nexodus/udp-batch';
import { type Endpoint, rawAddress } from './endpoint.ts';

/** Datagrams, one behind the other. */
export interface Datagrams {
  readonly bytes: Uint8Array;
  readonly lengths: Uint32Array;
}

/** What the thread is started with. */
export interface LoopbackPlan {
  /** Where WireGuard listens. */
  readonly wireGuard: Endpoint;
}

/** From the thread: its port, then datagrams. */
export type FromLoopback = { readonly port: number } | Datagrams;

/** UDP_MAX_SEGMENTS of the kernel is 128; older ones take 64. */
const MOST_SEGMENTS = 64;
const MOST_AGGREGATE_BYTES = 60_000;

class Loopback implements UdpHandlers {
  readonly #loop: UdpLoop;
  readonly #outgoing: OutgoingDatagram;

  constructor(loop: UdpLoop, { wireGuard }: LoopbackPlan) {
    this.#loop = loop;
    const to = rawAddress(wireGuard);
    const nothing = new Uint8Array(0);
    const empty = { bytes: nothing, offset: 0, length: 0, segmentBytes: 0 };
    this.#outgoing = { socket: -1, to, toOffset: 0, ...empty };
    const buffers = { receiveBufferBytes: 4_194_304, sendBufferBytes: 4_194_304 };
    loop.open({ address: '127.0.0.1', port: 0, ...buffers }, (result) => {
      if ('error' in result) throw result.error;
      this.#outgoing.socket = result.socket;
      this.#loop.post({ port: result.port } satisfies FromLoopback);
    });
  }

  onBatch(batch: ReceivedBatch): void {
    const lengths: number[] = [];
    const pieces: Uint8Array[] = [];
    for (let index = 0; index < batch.count; index += 1) {
      const [offset, total] = [batch.offsets[index] ?? 0, batch.lengths[index] ?? 0];
      const step = batch.segmentBytes[index] || total;
      for (let at = 0; at < total; at += step) lengths.push(Math.min(step, total - at));
      pieces.push(batch.bytes.subarray(offset, offset + total));
    }
    const bytes = pieces.length === 1 ? (pieces[0]?.slice() ?? []) : Buffer.concat(pieces);
    this.#loop.post({ bytes, lengths: Uint32Array.from(lengths) });
  }

  /** Runs of one length leave together. */
  onMessage(message: unknown): void {
    const { bytes, lengths } = message as Datagrams; // tls-end.ts wrote it
    const outgoing = this.#outgoing;
    outgoing.bytes = bytes;
    outgoing.offset = 0;
    for (let index = 0; index < lengths.length;) {
      const step = lengths[index] ?? 0;
      let length = step;
      let segments = 1;
      for (index += 1; index < lengths.length; index += 1) {
        const next = lengths[index] ?? 0;
        const isOver = segments === MOST_SEGMENTS || length + next > MOST_AGGREGATE_BYTES;
        if (next > step || isOver) break;
        length += next;
        segments += 1;
        if (next < step) {
          index += 1;
          break;
        }
      }
      outgoing.length = length;
      outgoing.segmentBytes = segments === 1 ? 0 : step;
      this.#loop.send(outgoing);
      outgoing.offset += length;
    }
  }

  onDeadline(): void {}
}

await runUdpWorker((loop, data) => new Loopback(loop, data as LoopbackPlan)); // tls-end.ts passes it

/**
 * The thread of a TURN client in front of WireGuard: puts the header of its channel before each datagram, and takes it
 * off. It sends aggregates both ways where it can, so that it costs as little as such a thing can here.
 */
import {
  type OutgoingDatagram,
  type ReceivedBatch,
  runUdpWorker,
  type UdpHandlers,
  type UdpLoop,
} from '@nexodus/udp-batch';
import { type Endpoint, rawAddress } from './endpoint.ts';
import { createOpening, type Opening } from './opening.ts';
import { CHANNEL, CHANNEL_HEADER_BYTES } from './turn-messages.ts';

/** What the thread is started with. */
export interface ChannelPlan {
  readonly wireGuard: Endpoint;
  readonly server: Endpoint;
  /** Who is at the other end of the channel. */
  readonly peer: Endpoint;
}

/** To the thread: nothing but this. */
export type ToChannelEnd = 'open';

/** From the thread, when the channel is bound. */
export interface FromChannelEnd {
  /** Port of the loopback socket that WireGuard sends to. */
  readonly port: number;
  /** Where the peer sends to. */
  readonly relayed: Endpoint;
}

/** Payload of one aggregate, with room for the headers below the 65,507 bytes that IPv4 allows. */
const MOST_AGGREGATE_BYTES = 60_000;
const RETRY_MS = 500;

class ChannelEnd implements UdpHandlers {
  readonly #loop: UdpLoop;
  readonly #opening: Opening;
  readonly #toServer: OutgoingDatagram;
  readonly #toWireGuard: OutgoingDatagram;
  readonly #framed = new Uint8Array(65_536);
  readonly #framedView = new DataView(this.#framed.buffer);
  #port = 0;
  #isOpen = false;

  constructor(loop: UdpLoop, plan: ChannelPlan) {
    this.#loop = loop;
    this.#opening = createOpening({ kind: 'allocation', peer: plan.peer });
    const empty = { socket: -1, toOffset: 0, bytes: this.#framed, offset: 0, length: 0 };
    this.#toServer = { ...empty, to: rawAddress(plan.server), segmentBytes: 0 };
    this.#toWireGuard = { ...empty, to: rawAddress(plan.wireGuard), segmentBytes: 0 };
  }

  onMessage(): void {
    const buffers = { receiveBufferBytes: 4_194_304, sendBufferBytes: 4_194_304, port: 0 };
    this.#loop.open({ address: '127.0.0.1', ...buffers }, (result) => {
      if ('error' in result) throw result.error;
      this.#toWireGuard.socket = result.socket;
      this.#port = result.port;
    });
    this.#loop.open({ address: '0.0.0.0', ...buffers }, (result) => {
      if ('error' in result) throw result.error;
      this.#toServer.socket = result.socket;
      this.#ask();
    });
  }

  onBatch(batch: ReceivedBatch): void {
    const isFromServer = batch.socket === this.#toServer.socket;
    for (let index = 0; index < batch.count; index += 1) {
      const offset = batch.offsets[index] ?? 0;
      const length = batch.lengths[index] ?? 0;
      const step = batch.segmentBytes[index] || length;
      const piece = { bytes: batch.bytes, offset, length, step };
      if (!isFromServer) this.#frame(piece);
      else if (this.#isOpen) this.#unframe(piece);
      else this.#take(batch.bytes.slice(offset, offset + length));
    }
  }

  onDeadline(): void {
    if (!this.#isOpen) this.#ask();
  }

  #take(bytes: Uint8Array): void {
    this.#opening.take(bytes);
    this.#ask();
  }

  #ask(): void {
    const { request, relayed } = this.#opening;
    if (request === undefined && relayed !== undefined) {
      this.#isOpen = true;
      this.#loop.post({ port: this.#port, relayed } satisfies FromChannelEnd);
    } else if (request !== undefined) {
      const outgoing = this.#toServer;
      const message = { bytes: request, offset: 0, length: request.length, segmentBytes: 0 };
      this.#loop.send(Object.assign(outgoing, message));
      this.#loop.wakeAt(this.#loop.nowMs() + RETRY_MS);
    }
  }

  #frame({ bytes, offset, length, step }: Piece): void {
    let filled = 0;
    for (let at = 0; at < length; at += step) {
      const size = Math.min(step, length - at);
      if (filled + CHANNEL_HEADER_BYTES + size > MOST_AGGREGATE_BYTES) {
        this.#sendFramed(filled, step);
        filled = 0;
      }
      this.#framedView.setUint32(filled, CHANNEL * 65_536 + size);
      const from = offset + at;
      this.#framed.set(bytes.subarray(from, from + size), filled + CHANNEL_HEADER_BYTES);
      filled += CHANNEL_HEADER_BYTES + size;
    }
    this.#sendFramed(filled, step);
  }

  #sendFramed(length: number, step: number): void {
    const outgoing = this.#toServer;
    const segmentBytes = step + CHANNEL_HEADER_BYTES;
    outgoing.bytes = this.#framed;
    outgoing.offset = 0;
    outgoing.length = length;
    outgoing.segmentBytes = segmentBytes < length ? segmentBytes : 0;
    this.#loop.send(outgoing);
  }

  #unframe({ bytes, offset, length, step }: Piece): void {
    const outgoing = this.#toWireGuard;
    outgoing.bytes = bytes;
    for (let at = 0; at < length; at += step) {
      const start = offset + at;
      const isChannel = bytes[start] === CHANNEL >> 8;
      if (!isChannel) continue;
      outgoing.offset = start + CHANNEL_HEADER_BYTES;
      outgoing.length = Math.min(step, length - at) - CHANNEL_HEADER_BYTES;
      this.#loop.send(outgoing);
    }
  }
}

/** A datagram, or an aggregate of those of `step` bytes. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
  readonly step: number;
}

await runUdpWorker((loop, data) => new ChannelEnd(loop, data as ChannelPlan)); // channel-end.ts passes it

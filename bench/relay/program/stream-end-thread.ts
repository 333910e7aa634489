/**
 * The thread of a stream's end: it opens a way through a relay, then sends stamped datagrams at an even rate, or takes
 * them and says how long they were on their way. Both ends read the same clock of the machine.
 */
import {
  type OutgoingDatagram,
  type ReceivedBatch,
  runUdpWorker,
  type UdpHandlers,
  type UdpLoop,
} from '@nexodus/udp-batch';
import { rawAddress } from './endpoint.ts';
import { createOpening, type Opening } from './opening.ts';
import type { DelayReport, FromStreamEnd, StreamPlan, ToStreamEnd } from './stream-end-messages.ts';
import { CHANNEL, CHANNEL_HEADER_BYTES } from './turn-messages.ts';

const RETRY_MS = 500;
/** Type of WireGuard's data messages, as the first four bytes of a datagram. */
const DATA_HEADER = 0x04000000;
const NUMBER_OFFSET = 8;
const STAMP_OFFSET = 16;
const STAMPED_BYTES = 24;
const MOST_DELAYS = 2_000_000;

class StreamEnd implements UdpHandlers {
  readonly #loop: UdpLoop;
  readonly #outgoing: OutgoingDatagram;
  #socket = -1;
  #opening: Opening | undefined;
  #stream: RunningStream | undefined;
  #delays = new Float64Array(MOST_DELAYS);
  #received = 0;
  #skipBefore = 0;

  constructor(loop: UdpLoop) {
    this.#loop = loop;
    const nothing = new Uint8Array(0);
    this.#outgoing = {
      socket: -1,
      to: nothing,
      toOffset: 0,
      bytes: nothing,
      offset: 0,
      length: 0,
      segmentBytes: 0,
    };
  }

  onMessage(message: unknown): void {
    const told = message as ToStreamEnd; // stream-end.ts wrote it
    switch (told.do) {
      case 'bind':
        return this.#bind(told.address);
      case 'open':
        this.#opening = createOpening(told.plan);
        this.#outgoing.to = rawAddress(told.relay);
        return this.#ask();
      case 'stream':
        return this.#begin(told.plan);
      case 'expect':
        this.#received = 0;
        this.#skipBefore = told.skipBefore;
        return this.#post({ told: 'done' });
      case 'report':
        return this.#post({ told: 'delays', report: this.#report() });
    }
  }

  onBatch(batch: ReceivedBatch): void {
    if (this.#opening !== undefined) {
      const [offset = 0] = batch.offsets;
      this.#opening.take(batch.bytes.slice(offset, offset + (batch.lengths[0] ?? 0)));
      this.#ask();
      return;
    }
    const nowNs = Number(process.hrtime.bigint());
    for (let index = 0; index < batch.count; index += 1) {
      const offset = batch.offsets[index] ?? 0;
      if ((batch.lengths[index] ?? 0) < STAMPED_BYTES) continue;
      if (batch.view.getFloat64(offset + NUMBER_OFFSET) < this.#skipBefore) continue;
      if (this.#received === MOST_DELAYS) return;
      this.#delays[this.#received] = nowNs - batch.view.getFloat64(offset + STAMP_OFFSET);
      this.#received += 1;
    }
  }

  onDeadline(nowMs: number): void {
    if (this.#stream === undefined) this.#ask();
    else this.#sendDue(this.#stream, nowMs);
  }

  #bind(address: string): void {
    const buffers = { receiveBufferBytes: 4_194_304, sendBufferBytes: 4_194_304 };
    this.#loop.open({ address, port: 0, ...buffers }, (result) => {
      if ('error' in result) throw result.error;
      this.#socket = result.socket;
      this.#outgoing.socket = result.socket;
      this.#post({ told: 'bound', port: result.port });
    });
  }

  #ask(): void {
    const opening = this.#opening;
    if (opening === undefined) return;
    const { request, relayed } = opening;
    if (request === undefined) {
      this.#opening = undefined;
      this.#loop.wakeAt(Infinity);
      this.#post({ told: 'opened', relayed });
      return;
    }
    this.#send(request);
    this.#loop.wakeAt(this.#loop.nowMs() + RETRY_MS);
  }

  #begin(plan: StreamPlan): void {
    this.#outgoing.to = rawAddress(plan.to);
    const startsAtMs = this.#loop.nowMs() + 10;
    this.#stream = new RunningStream(plan, startsAtMs);
    this.#loop.wakeAt(startsAtMs);
  }

  /** One at a time: each leaves before the next is stamped. Between them the loop is asked again at once. */
  #sendDue(stream: RunningStream, nowMs: number): void {
    if (stream.isOver) {
      this.#stream = undefined;
      this.#post({ told: 'done' });
      return;
    }
    if (nowMs >= stream.nextAtMs) this.#send(stream.next());
    this.#loop.wakeAt(nowMs);
  }

  #send(bytes: Uint8Array): void {
    this.#outgoing.socket = this.#socket;
    this.#outgoing.bytes = bytes;
    this.#outgoing.length = bytes.length;
    this.#loop.send(this.#outgoing);
  }

  #report(): DelayReport {
    const delays = this.#delays.subarray(0, this.#received).toSorted();
    const at = (share: number): number =>
      (delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? NaN) / 1_000;
    return { received: delays.length, p50Us: at(0.5), p99Us: at(0.99) };
  }

  #post(message: FromStreamEnd): void {
    this.#loop.post(message);
  }
}

/** A stream that is being sent. */
class RunningStream {
  readonly #plan: StreamPlan;
  readonly #startsAtMs: number;
  readonly #count: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #headerBytes: number;
  #sent = 0;

  constructor(plan: StreamPlan, startsAtMs: number) {
    this.#plan = plan;
    this.#startsAtMs = startsAtMs;
    this.#count = Math.round(plan.ratePerSecond * plan.seconds);
    this.#headerBytes = plan.inChannel ? CHANNEL_HEADER_BYTES : 0;
    this.#bytes = new Uint8Array(this.#headerBytes + plan.bytes);
    this.#view = new DataView(this.#bytes.buffer);
    if (plan.inChannel) this.#view.setUint32(0, CHANNEL * 65_536 + plan.bytes);
    this.#view.setUint32(this.#headerBytes, DATA_HEADER);
  }

  get isOver(): boolean {
    return this.#sent >= this.#count;
  }

  get nextAtMs(): number {
    return this.#startsAtMs + (this.#sent * 1_000) / this.#plan.ratePerSecond;
  }

  next(): Uint8Array {
    this.#view.setFloat64(this.#headerBytes + NUMBER_OFFSET, this.#sent);
    this.#view.setFloat64(this.#headerBytes + STAMP_OFFSET, Number(process.hrtime.bigint()));
    this.#sent += 1;
    return this.#bytes;
  }
}

await runUdpWorker((loop) => new StreamEnd(loop));

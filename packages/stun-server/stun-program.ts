/** What a thread of the server does: opens its sockets, then answers batch by batch. */
import { isIP } from 'node:net';
import { parseIpAddress } from '@nexodus/netip';
import { SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import type { TransportAddress } from '@nexodus/stun-codec';
import {
  createReplyRoutes,
  type ReplyRoutes,
  type SourceLimit,
  SourceLimiter,
  type StunEndpoint,
  StunResponder,
  VERDICTS,
} from '@nexodus/stun-responder';
import type {
  OutgoingDatagram,
  ReceivedBatch,
  UdpHandlers,
  UdpLoop,
  UdpOpenResult,
} from '@nexodus/udp-batch';
import type { StunAddress, StunSocketPlan } from './socket-plan.ts';
import { StunCounters } from './stun-counters.ts';

/** What a thread is started with. */
export interface StunThreadData {
  readonly thread: number;
  readonly plan: readonly StunSocketPlan[];
  /** Whether other threads have the same addresses. */
  readonly isShared: boolean;
  /** Whether answers tell where they come from: of use with NAT discovery only. */
  readonly tellsOrigin: boolean;
  readonly software: string;
  readonly limit: SourceLimit;
  /** Shared by all threads. */
  readonly limiterStorage: SharedArrayBuffer;
  readonly limiterSeed: number;
  readonly counters: SharedArrayBuffer;
  /** `performance.timeOrigin` of the starting thread: all threads ration by its clock. */
  readonly timeOriginMs: number;
  readonly receiveBufferBytes: number;
}

/** What a thread tells once: its sockets are open, or why one is not. */
export type StunThreadWord =
  | { readonly kind: 'open' }
  | { readonly kind: 'failed'; readonly address: StunAddress; readonly code: string };

/** Answers on the sockets of one thread. */
export class StunProgram implements UdpHandlers {
  readonly #loop: UdpLoop;
  readonly #data: StunThreadData;
  readonly #responder: StunResponder;
  readonly #counters: StunCounters;
  readonly #shiftMs: number;
  /** By the place of a socket in the plan. */
  readonly #handles: number[] = [];
  /** By the handle of a socket. */
  readonly #routes: ReplyRoutes[] = [];
  readonly #outgoing: OutgoingDatagram = {
    socket: 0,
    to: new Uint8Array(),
    toOffset: 0,
    bytes: new Uint8Array(),
    offset: 0,
    length: 0,
    segmentBytes: 0,
  };
  #isOpen = false;

  constructor(loop: UdpLoop, data: StunThreadData) {
    this.#loop = loop;
    this.#data = data;
    this.#shiftMs = performance.timeOrigin - data.timeOriginMs;
    const limiter = new SourceLimiter(data.limit, data.limiterStorage, data.limiterSeed);
    this.#responder = new StunResponder({ limiter, software: data.software });
    this.#counters = new StunCounters(data.counters);
    for (const place of data.plan.keys()) this.#open(place);
  }

  onBatch(batch: ReceivedBatch, nowMs: number): void {
    const routes = this.#routes[batch.socket];
    if (!this.#isOpen || routes === undefined) return;
    const { thread } = this.#data;
    for (let index = 0; index < batch.count; index += 1) {
      const verdict = this.#responder.answer(batch, index, routes, nowMs + this.#shiftMs);
      this.#counters.decided(thread, verdict);
      if (verdict === VERDICTS.answered || verdict === VERDICTS.refused) this.#reply(batch, index);
    }
    this.#counters.unsent(thread, this.#loop.counters.unsent);
  }

  onMessage(): void {}

  onDeadline(): void {}

  #reply(batch: ReceivedBatch, index: number): void {
    const outgoing = this.#outgoing;
    outgoing.socket = this.#responder.replySocket;
    outgoing.to = batch.addresses;
    outgoing.toOffset = index * SOCKET_ADDRESS_BYTES;
    outgoing.bytes = batch.bytes;
    outgoing.offset = batch.offsets[index] ?? 0;
    outgoing.length = this.#responder.replyLength;
    this.#loop.send(outgoing);
  }

  #open(place: number): void {
    const { isShared, plan, receiveBufferBytes } = this.#data;
    const address = plan[place]?.address;
    if (address === undefined) return;
    const options = {
      address: address.host,
      port: address.port,
      reusePort: isShared,
      receiveBufferBytes,
    };
    this.#loop.open(options, (result) => this.#opened(place, address, result));
  }

  #opened(place: number, address: StunAddress, result: UdpOpenResult): void {
    if ('error' in result) {
      this.#tell({ kind: 'failed', address, code: result.error.code });
      return;
    }
    this.#handles[place] = result.socket;
    const { plan } = this.#data;
    if (plan.some((_plan, index) => this.#handles[index] === undefined)) return;
    for (const [index, handle] of this.#handles.entries()) {
      this.#routes[handle] = this.#routesOf(index);
    }
    this.#isOpen = true;
    this.#tell({ kind: 'open' });
  }

  #routesOf(place: number): ReplyRoutes {
    const { plan, software } = this.#data;
    const own = plan[place];
    const endpoint = this.#endpoint(place);
    if (own === undefined || endpoint === undefined) throw new Error('a socket is in the plan');
    const changed = {
      port: this.#endpoint(own.otherPort),
      address: this.#endpoint(own.otherAddress),
      both: this.#endpoint(own.both),
    };
    const other = changed.both?.origin;
    return createReplyRoutes({
      endpoint,
      software,
      changed: {
        ...(changed.port && { port: changed.port }),
        ...(changed.address && { address: changed.address }),
        ...(changed.both && { both: changed.both }),
      },
      ...(other && { other }),
    });
  }

  #endpoint(place: number | undefined): StunEndpoint | undefined {
    const plan = place === undefined ? undefined : this.#data.plan[place];
    const socket = place === undefined ? undefined : this.#handles[place];
    if (plan === undefined || socket === undefined) return undefined;
    return this.#data.tellsOrigin ? { socket, origin: transportOf(plan.address) } : { socket };
  }

  #tell(word: StunThreadWord): void {
    this.#loop.post(word);
  }
}

function transportOf({ host, port }: StunAddress): TransportAddress {
  if (isIP(host) === 0) throw new Error(`${host} is no address`);
  return { address: parseIpAddress(host), port };
}

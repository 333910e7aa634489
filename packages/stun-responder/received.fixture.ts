import { encodeSocketAddress, SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import type { TransportAddress } from '@nexodus/stun-codec';
import { createReplyRoutes, type ReplyRoutes } from './reply-routes.ts';
import { SourceLimiter, sourceLimiterBytes, type SourceLimit } from './source-limiter.ts';
import type { ReceivedDatagrams, StunResponder } from './stun-responder.ts';
import { type Verdict, VERDICTS } from './verdict.ts';

/** Where the datagram lies in its arena: not at 0, so that an offset that is forgotten shows. */
const OFFSET = 24;

/** A datagram as a loop hands it over, as the second of two, with room behind it. */
function received(datagram: Uint8Array, source: TransportAddress): ReceivedDatagrams {
  const bytes = new Uint8Array(OFFSET + Math.max(datagram.length, 128));
  bytes.fill(0xee);
  bytes.set(datagram, OFFSET);
  const addresses = new Uint8Array(2 * SOCKET_ADDRESS_BYTES);
  encodeSocketAddress(addresses, SOCKET_ADDRESS_BYTES, source);
  return {
    bytes,
    view: new DataView(bytes.buffer),
    offsets: Uint32Array.of(0, OFFSET),
    lengths: Uint32Array.of(0, datagram.length),
    addressView: new DataView(addresses.buffer),
  };
}

/** What a responder makes of one datagram. */
export interface Outcome {
  readonly verdict: Verdict;
  readonly reply?: Uint8Array;
  readonly socket?: number;
}

/** Shows a responder one datagram. */
export function answerOne(
  responder: StunResponder,
  datagram: Uint8Array,
  {
    source,
    routes = PLAIN,
    nowMs = 1,
  }: { source: TransportAddress; routes?: ReplyRoutes; nowMs?: number },
): Outcome {
  const datagrams = received(datagram, source);
  const verdict = responder.answer(datagrams, 1, routes, nowMs);
  if (verdict !== VERDICTS.answered && verdict !== VERDICTS.refused) return { verdict };
  const reply = datagrams.bytes.slice(OFFSET, OFFSET + responder.replyLength);
  return { verdict, reply, socket: responder.replySocket };
}

/** A server with one socket. */
export const PLAIN = createReplyRoutes({ endpoint: { socket: 7 }, software: 'Nexodus' });

/** A limiter with storage of its own. */
export function createLimiter(limit: SourceLimit, seed = 1): SourceLimiter {
  return new SourceLimiter(limit, new ArrayBuffer(sourceLimiterBytes(limit)), seed);
}

/** One that never limits a test. */
export const generous = (): SourceLimiter =>
  createLimiter({ ratePerSecond: 1_000_000, burst: 1_000_000, tableSize: 64 });

/**
 * What a STUN server answers (RFC 8489 sections 6.3 and 12, without authentication; RFC 5780 section 6.1).
 *
 * An address that asks is answered at that address, and nothing else is ever sent: whoever forges a source can make the
 * server send to a third party, so an answer is hardly larger than its request, goes to no address or port at which a
 * forged one would do harm, and is rationed for each source. CHANGE-REQUEST changes where an answer comes from, never
 * where it goes. Answers and indications are never answered, so two servers cannot keep each other busy.
 *
 * An answer is written over its request: cookie and transaction id are in their places already. Nothing is allocated.
 */
import { SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import { attributeType, BINDING_METHOD, fingerprintOf } from '@nexodus/stun-codec';
import { attributeBytes } from './attribute-bytes.ts';
import { BindingRequest } from './binding-request.ts';
import type { ReplyRoutes } from './reply-routes.ts';
import type { SourceLimiter } from './source-limiter.ts';
import { type Verdict, VERDICTS } from './verdict.ts';

/** Datagrams as a loop hands them over: see ReceivedBatch of udp-batch. */
export interface ReceivedDatagrams {
  readonly bytes: Uint8Array;
  /** The same bytes. */
  readonly view: DataView;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  /** Raw socket address of each, at its index times SOCKET_ADDRESS_BYTES. */
  readonly addressView: DataView;
}

/**
 * Ports of system services, at which a forged source would meet a DNS, NTP, SNMP or chargen server; a NAT maps the ports
 * of ordinary programs outside them (RFC 4787 REQ-3). Port 0 is nobody's. 3478 is not among them: a peer there may be
 * a client, and another STUN server answers no answer.
 */
const LAST_SYSTEM_PORT = 1_023;
/** AF_INET. */
const FAMILY_IPV4 = 2;
/** RFC 8489 sections 5, 14.1 and 14.7. */
const HEADER_BYTES = 20;
const MAGIC_COOKIE = 0x2112_a442;
const SUCCESS_TYPE = 0x0100 | BINDING_METHOD;
const ERROR_TYPE = 0x0110 | BINDING_METHOD;
const FINGERPRINT_BYTES = 8;

/** Decides about datagrams and writes the answers. One for each thread. */
export class StunResponder {
  /** Length of the last answer, which begins where its request began. */
  replyLength = 0;
  /** Handle of the socket that sends the last answer. */
  replySocket = -1;
  readonly #limiter: SourceLimiter;
  readonly #request = new BindingRequest();
  /** ERROR-CODE 420 (RFC 8489 section 14.8), as an attribute. */
  readonly #errorCode: Uint8Array;
  readonly #software: Uint8Array;

  constructor({
    limiter,
    software,
  }: {
    readonly limiter: SourceLimiter;
    readonly software: string;
  }) {
    this.#limiter = limiter;
    this.#errorCode = attributeBytes([
      { kind: 'error-code', code: 420, reason: 'Unknown Attribute' },
    ]);
    this.#software = attributeBytes([{ kind: 'software', text: software }]);
  }

  /**
   * Decides about datagram `index`, which arrived at the socket of `routes` at `nowMs`, on a clock that never goes back.
   * With VERDICTS.answered and VERDICTS.refused an answer stands in its place: 128 bytes from its offset, or as many as
   * the datagram had if more, are the responder's to overwrite.
   */
  answer(datagrams: ReceivedDatagrams, index: number, routes: ReplyRoutes, nowMs: number): Verdict {
    const source = index * SOCKET_ADDRESS_BYTES;
    if (!isAnswerable(datagrams.addressView, source)) return VERDICTS.badSource;
    const offset = datagrams.offsets[index] ?? 0;
    const request = this.#request;
    const read = request.read(datagrams.view, offset, datagrams.lengths[index] ?? 0);
    if (read !== VERDICTS.answered) return read;
    if (!this.#limiter.admit(datagrams.addressView, source, nowMs)) return VERDICTS.limited;
    const route = routes.byChange[request.changeFlags > 0 ? request.changeFlags >> 1 : 0];
    if (request.changeFlags >= 0 && (route === undefined || !routes.canChange)) {
      request.addUnknown(attributeType.changeRequest);
    }
    if (route === undefined || request.unknownCount > 0) {
      this.replySocket = routes.byChange[0]?.socket ?? -1;
      this.#writeRefusal(datagrams, offset);
      return VERDICTS.refused;
    }
    this.replySocket = route.socket;
    this.#writeSuccess(datagrams, offset, source, route.tail);
    return VERDICTS.answered;
  }

  #writeSuccess(
    { bytes, view, addressView }: ReceivedDatagrams,
    offset: number,
    source: number,
    tail: Uint8Array,
  ): void {
    const isIpv4 = addressView.getUint8(source) === FAMILY_IPV4;
    const at = offset + HEADER_BYTES;
    view.setUint32(at, (attributeType.xorMappedAddress << 16) | (isIpv4 ? 8 : 20));
    view.setUint16(at + 4, isIpv4 ? 1 : 2);
    view.setUint16(at + 6, addressView.getUint16(source + 2) ^ (MAGIC_COOKIE >>> 16));
    const address = source + (isIpv4 ? 4 : 8);
    view.setInt32(at + 8, addressView.getInt32(address) ^ MAGIC_COOKIE);
    // The other words are combined with the transaction id (RFC 8489 section 14.2).
    for (let word = 4; !isIpv4 && word < 16; word += 4) {
      view.setInt32(
        at + 8 + word,
        addressView.getInt32(address + word) ^ view.getInt32(offset + 4 + word),
      );
    }
    const behind = at + (isIpv4 ? 12 : 24);
    this.replyLength = finish(view, offset, SUCCESS_TYPE, copy(tail, bytes, behind));
  }

  #writeRefusal({ bytes, view }: ReceivedDatagrams, offset: number): void {
    const { unknownTypes, unknownCount } = this.#request;
    let at = copy(this.#errorCode, bytes, offset + HEADER_BYTES);
    view.setUint32(at, (attributeType.unknownAttributes << 16) | (2 * unknownCount));
    at += 4;
    for (let index = 0; index < unknownCount; index += 1) {
      view.setUint16(at + 2 * index, unknownTypes[index] ?? 0);
    }
    at += 2 * unknownCount;
    if (unknownCount % 2 === 1) {
      view.setUint16(at, 0);
      at += 2;
    }
    this.replyLength = finish(view, offset, ERROR_TYPE, copy(this.#software, bytes, at));
  }
}

/** Whether a datagram from there may be answered: it is one host, and no port of a system service. */
function isAnswerable(addresses: DataView, source: number): boolean {
  if (addresses.getUint16(source + 2) <= LAST_SYSTEM_PORT) return false;
  if (addresses.getUint8(source) === FAMILY_IPV4) {
    // 0.0.0.0/8 is no host (RFC 1122); from 224 on: multicast, reserved, broadcast (RFC 5771, RFC 1112).
    const first = addresses.getUint8(source + 4);
    return first !== 0 && first < 224;
  }
  // Multicast (RFC 4291 section 2.7).
  if (addresses.getUint8(source + 8) === 0xff) return false;
  if (addresses.getUint32(source + 8) !== 0 || addresses.getUint32(source + 12) !== 0) return true;
  // ::/64 holds nobody but ::1: the rest is unspecified, IPv4 in disguise, or reserved (RFC 4291 section 2.5).
  return addresses.getUint32(source + 16) === 0 && addresses.getUint32(source + 20) === 1;
}

/** Writes the header's type and length and appends FINGERPRINT; gives the length of the message. */
function finish(view: DataView, offset: number, type: number, end: number): number {
  const length = end + FINGERPRINT_BYTES - offset;
  view.setUint16(offset, type);
  view.setUint16(offset + 2, length - HEADER_BYTES);
  view.setUint32(end, (attributeType.fingerprint << 16) | (FINGERPRINT_BYTES - 4));
  view.setUint32(end + 4, fingerprintOf(view, offset, end));
  return length;
}

/** Copies all of `from`, a few bytes; gives where it ends. */
function copy(from: Uint8Array, to: Uint8Array, at: number): number {
  for (let index = 0; index < from.length; index += 1) to[at + index] = from[index] ?? 0;
  return at + from.length;
}

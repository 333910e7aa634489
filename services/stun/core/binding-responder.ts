/**
 * What a STUN server answers (RFC 8489 sections 6.3 and 12, without authentication).
 *
 * An address that asks is answered at that address, and nothing else is ever sent: whoever forges a source can make the
 * server send to a third party, so an answer is hardly larger than its request, goes to no address or port at which a
 * forged one would do harm, and is rationed for each source. Answers and indications are never answered, so two servers
 * cannot keep each other busy.
 */
import { type AddressKind, addressKind } from '@nexodus/netip';
import {
  attributeType,
  BINDING_METHOD,
  decodeStunMessage,
  encodeStunMessage,
  isComprehensionRequired,
  type StunAttribute,
  StunFormatError,
  type StunMessage,
  type TransportAddress,
} from '@nexodus/stun-codec';
import type { SourceLimiter } from './source-limiter.ts';

/** Why a datagram was not worth an answer. */
export type IgnoredReason = 'source' | 'not-stun' | 'malformed' | 'not-a-request' | 'method';

/** What to do with a datagram. */
export type Verdict =
  | { readonly kind: 'answered' | 'refused'; readonly reply: Uint8Array }
  | { readonly kind: 'ignored'; readonly reason: IgnoredReason }
  | { readonly kind: 'limited' };

/** At most 12 characters, so that an answer to an empty request grows by no more than 60 bytes (96 on IPv6). */
const SOFTWARE: StunAttribute = { kind: 'software', text: 'Nexodus' };

/** Unknown Attribute (RFC 8489 section 14.8). */
const UNKNOWN_ATTRIBUTE = 420;

/**
 * Ports of system services, at which a forged source would meet a DNS, NTP, SNMP or chargen server; a NAT maps the ports
 * of ordinary programs outside them (RFC 4787 REQ-3). Port 0 is nobody's. 3478 is not among them: a peer there may be
 * a client, and another STUN server answers no answer.
 */
const LAST_SYSTEM_PORT = 1023;

/** Kinds of addresses that are no single host. */
const NO_HOST: ReadonlySet<AddressKind> = new Set([
  'unspecified',
  'this-network',
  'multicast',
  'broadcast',
  'reserved',
]);

/**
 * Comprehension-required types that this server understands: the mechanisms of authentication, which a server that
 * demands none passes over (RFC 8489 section 9), and what only answers carry.
 */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  attributeType.username,
  attributeType.messageIntegrity,
  attributeType.realm,
  attributeType.nonce,
  attributeType.messageIntegritySha256,
  attributeType.passwordAlgorithm,
  attributeType.userhash,
]);

/** Decides about one datagram from `source` at `nowMs`, on a clock that never goes back. */
export function answerBinding(
  datagram: Uint8Array,
  source: TransportAddress,
  { limiter, nowMs }: { limiter: SourceLimiter; nowMs: number },
): Verdict {
  if (source.port <= LAST_SYSTEM_PORT || NO_HOST.has(addressKind(source.address))) {
    return { kind: 'ignored', reason: 'source' };
  }
  const request = decodeOrReason(datagram);
  if (typeof request === 'string') return { kind: 'ignored', reason: request };
  if (request.class !== 'request') return { kind: 'ignored', reason: 'not-a-request' };
  if (request.method !== BINDING_METHOD) return { kind: 'ignored', reason: 'method' };
  if (!limiter.admit(source.address, nowMs)) return { kind: 'limited' };
  const unknown = unknownTypes(request);
  return unknown.length > 0
    ? { kind: 'refused', reply: refusal(request, unknown) }
    : { kind: 'answered', reply: success(request, source) };
}

function decodeOrReason(datagram: Uint8Array): StunMessage | 'not-stun' | 'malformed' {
  try {
    return decodeStunMessage(datagram);
  } catch (error) {
    if (!(error instanceof StunFormatError)) throw error;
    return error.reason === 'not-stun' ? 'not-stun' : 'malformed';
  }
}

function unknownTypes({ attributes }: StunMessage): number[] {
  const types = attributes.flatMap((attribute) =>
    attribute.kind === 'other' &&
    isComprehensionRequired(attribute.type) &&
    !UNDERSTOOD.has(attribute.type)
      ? [attribute.type]
      : [],
  );
  return [...new Set(types)];
}

function success({ transactionId }: StunMessage, source: TransportAddress): Uint8Array {
  return encodeStunMessage({
    class: 'success',
    method: BINDING_METHOD,
    transactionId,
    attributes: [{ kind: 'xor-mapped-address', mapped: source }, SOFTWARE],
    hasFingerprint: true,
  });
}

function refusal({ transactionId }: StunMessage, types: readonly number[]): Uint8Array {
  return encodeStunMessage({
    class: 'error',
    method: BINDING_METHOD,
    transactionId,
    attributes: [
      { kind: 'error-code', code: UNKNOWN_ATTRIBUTE, reason: 'Unknown Attribute' },
      { kind: 'unknown-attributes', types },
      SOFTWARE,
    ],
    hasFingerprint: true,
  });
}

import { attributeType } from './attribute-type.ts';
import { decodeAttribute } from './decode-attribute.ts';
import { fingerprintOf } from './fingerprint.ts';
import { StunFormatError } from './stun-format-error.ts';
import type { StunAttribute, StunClass, StunMessage } from './stun-message.ts';
import {
  ATTRIBUTE_HEADER_BYTES,
  FINGERPRINT_BYTES,
  HEADER_BYTES,
  MAGIC_COOKIE,
  paddedLength,
} from './wire-format.ts';

/** By the bits C1 and C0. */
const CLASSES: readonly StunClass[] = ['request', 'indication', 'success', 'error'];

interface RawAttribute {
  type: number;
  value: Uint8Array;
  /** Where its header begins in the message. */
  offset: number;
}

/**
 * Reads a datagram that is one STUN message (RFC 8489 sections 5 and 14). FINGERPRINT is verified where present; what
 * follows a MESSAGE-INTEGRITY is left out as section 14.5 demands. The result refers to no byte of the datagram.
 *
 * @throws {StunFormatError}
 */
export function decodeStunMessage(datagram: Uint8Array): StunMessage {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  requireHeader(view);
  const type = view.getUint16(0);
  const transactionId = Uint8Array.from(datagram.subarray(8, HEADER_BYTES));
  const raw = readAttributes(datagram, view);
  const last = raw.at(-1);
  const hasFingerprint = last?.type === attributeType.fingerprint;
  if (hasFingerprint) requireFingerprint(view, last);
  const covered = withoutUnprotected(hasFingerprint ? raw.slice(0, -1) : raw);
  return {
    class: classOf(type),
    method: (type & 0x000f) | ((type & 0x00e0) >> 1) | ((type & 0x3e00) >> 2),
    transactionId,
    attributes: covered.map((one): StunAttribute => decodeAttribute(one, transactionId)),
    hasFingerprint,
  };
}

function requireHeader(view: DataView): void {
  if (view.byteLength < HEADER_BYTES) {
    throw new StunFormatError('not-stun', 'A STUN message has at least 20 bytes.');
  }
  if ((view.getUint8(0) & 0xc0) !== 0 || view.getUint32(4) !== MAGIC_COOKIE) {
    throw new StunFormatError('not-stun', 'The header is not that of STUN.');
  }
  const length = view.getUint16(2);
  if (length % 4 !== 0 || length !== view.byteLength - HEADER_BYTES) {
    throw new StunFormatError('length', 'The length in the header is not that of the message.');
  }
}

function classOf(type: number): StunClass {
  const bits = ((type & 0x0100) >> 7) | ((type & 0x0010) >> 4);
  return CLASSES[bits] ?? 'indication';
}

function readAttributes(datagram: Uint8Array, view: DataView): RawAttribute[] {
  const attributes: RawAttribute[] = [];
  let offset = HEADER_BYTES;
  // Header and values are padded to 4 bytes, so a header always fits where anything is left.
  while (offset < view.byteLength) {
    const type = view.getUint16(offset);
    const length = view.getUint16(offset + 2);
    const start = offset + ATTRIBUTE_HEADER_BYTES;
    if (start + paddedLength(length) > view.byteLength) {
      throw new StunFormatError('attribute', 'An attribute is longer than the message.');
    }
    if (attributes.at(-1)?.type === attributeType.fingerprint) {
      throw new StunFormatError('fingerprint', 'FINGERPRINT is not the last attribute.');
    }
    attributes.push({ type, value: datagram.subarray(start, start + length), offset });
    offset = start + paddedLength(length);
  }
  return attributes;
}

function requireFingerprint(view: DataView, { value, offset }: RawAttribute): void {
  const expected = fingerprintOf(view, 0, offset);
  const matches =
    value.length === FINGERPRINT_BYTES - ATTRIBUTE_HEADER_BYTES &&
    new DataView(value.buffer, value.byteOffset).getUint32(0) === expected;
  if (!matches) throw new StunFormatError('fingerprint', 'FINGERPRINT does not match the message.');
}

/** After MESSAGE-INTEGRITY only MESSAGE-INTEGRITY-SHA256 counts, after that nothing (sections 14.5 and 14.6). */
function withoutUnprotected(raw: readonly RawAttribute[]): RawAttribute[] {
  const kept: RawAttribute[] = [];
  let last: number | undefined;
  for (const attribute of raw) {
    if (last === attributeType.messageIntegritySha256) break;
    const isAfterIntegrity = last === attributeType.messageIntegrity;
    if (isAfterIntegrity && attribute.type !== attributeType.messageIntegritySha256) continue;
    kept.push(attribute);
    last = attribute.type;
  }
  return kept;
}

import { attributeType } from './attribute-type.ts';
import { encodeAttributeValue } from './encode-attribute.ts';
import { fingerprintOf } from './fingerprint.ts';
import { type StunClass, type StunMessage, TRANSACTION_ID_BYTES } from './stun-message.ts';
import {
  ATTRIBUTE_HEADER_BYTES,
  FINGERPRINT_BYTES,
  HEADER_BYTES,
  MAGIC_COOKIE,
  paddedLength,
} from './wire-format.ts';

/** The bits C1 and C0 in their places. */
const CLASS_BITS: Readonly<Record<StunClass, number>> = {
  request: 0x0000,
  indication: 0x0010,
  success: 0x0100,
  error: 0x0110,
};

/**
 * Writes a message as one datagram (RFC 8489 sections 5 and 14), padded with zeros.
 *
 * @throws {RangeError} for a message that {@link StunMessage} does not allow: a fault of the caller
 */
export function encodeStunMessage(message: StunMessage): Uint8Array {
  requireInRange(message);
  const { transactionId } = message;
  const values = message.attributes.map((one) => encodeAttributeValue(one, transactionId));
  const attributeBytes = values.reduce(
    (sum, { value }) => sum + ATTRIBUTE_HEADER_BYTES + paddedLength(value.length),
    0,
  );
  const length = attributeBytes + (message.hasFingerprint ? FINGERPRINT_BYTES : 0);
  if (length > 0xffff)
    throw new RangeError('a STUN message has at most 65,535 bytes of attributes');
  const datagram = new Uint8Array(HEADER_BYTES + length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, messageType(message));
  view.setUint16(2, length);
  view.setUint32(4, MAGIC_COOKIE);
  datagram.set(transactionId, 8);
  let offset = HEADER_BYTES;
  for (const { type, value } of values) {
    view.setUint16(offset, type);
    view.setUint16(offset + 2, value.length);
    datagram.set(value, offset + ATTRIBUTE_HEADER_BYTES);
    offset += ATTRIBUTE_HEADER_BYTES + paddedLength(value.length);
  }
  if (message.hasFingerprint) {
    view.setUint16(offset, attributeType.fingerprint);
    view.setUint16(offset + 2, FINGERPRINT_BYTES - ATTRIBUTE_HEADER_BYTES);
    view.setUint32(offset + ATTRIBUTE_HEADER_BYTES, fingerprintOf(view, 0, offset));
  }
  return datagram;
}

function requireInRange({ method, transactionId }: StunMessage): void {
  if (!Number.isInteger(method) || method < 0 || method > 0xfff) {
    throw new RangeError('a STUN method has 12 bits');
  }
  if (transactionId.length !== TRANSACTION_ID_BYTES) {
    throw new RangeError(`a STUN transaction id has ${TRANSACTION_ID_BYTES} bytes`);
  }
}

function messageType({ class: messageClass, method }: StunMessage): number {
  const methodBits = (method & 0x00f) | ((method & 0x070) << 1) | ((method & 0xf80) << 2);
  return methodBits | CLASS_BITS[messageClass];
}

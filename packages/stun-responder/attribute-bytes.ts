import { BINDING_METHOD, encodeStunMessage, type StunAttribute } from '@nexodus/stun-codec';

/** RFC 8489 section 5. */
const HEADER_BYTES = 20;

/** Attributes as they stand in a message, padding included; none that depends on the transaction. */
export function attributeBytes(attributes: readonly StunAttribute[]): Uint8Array {
  const message = encodeStunMessage({
    class: 'success',
    method: BINDING_METHOD,
    transactionId: new Uint8Array(12),
    attributes,
    hasFingerprint: false,
  });
  return message.subarray(HEADER_BYTES);
}

/**
 * Why bytes are not a STUN message. `not-stun`: the header of RFC 8489 section 5 is missing, so they may belong to
 * another protocol; `length`: header and datagram disagree; `attribute`: an attribute does not fit into the message or
 * its value is not what its type says; `fingerprint`: FINGERPRINT is not last or does not match.
 */
export type StunFormatReason = 'not-stun' | 'length' | 'attribute' | 'fingerprint';

/** The only error that decoding throws. Its text holds no byte of the input. */
export class StunFormatError extends Error {
  override readonly name = 'StunFormatError';
  readonly reason: StunFormatReason;

  constructor(reason: StunFormatReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

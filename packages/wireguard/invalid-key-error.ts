/**
 * Why a key was refused: not 32 bytes, not canonical base64, a coordinate that is not the
 * canonical one below 2^255 - 19, or a point (or shared secret) of low order.
 */
export type InvalidKeyReason = 'wrong-length' | 'not-base64' | 'non-canonical' | 'low-order';

/** The only error this package throws on outside bytes. Its text never holds key material. */
export class InvalidKeyError extends Error {
  readonly reason: InvalidKeyReason;

  constructor(reason: InvalidKeyReason, message: string) {
    super(message);
    this.name = 'InvalidKeyError';
    this.reason = reason;
  }
}

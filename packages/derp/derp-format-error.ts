/**
 * Why bytes are not the protocol. `frame`: a frame is too long, or too short for its type; `order`: a frame that does not
 * belong where it came; `magic`: the greeting is not that of DERP; `key`: a public key that is none; `box`: the box was
 * not made with that key for this connection; `info`: what was in the box is not the info of a version that is spoken;
 * `channel`: the box was made for another connection than the one it came by.
 */
export type DerpFormatReason = 'frame' | 'order' | 'magic' | 'key' | 'box' | 'info' | 'channel';

/** The only error that decoding throws. Its text holds no byte of the input. */
export class DerpFormatError extends Error {
  override readonly name = 'DerpFormatError';
  readonly reason: DerpFormatReason;

  constructor(reason: DerpFormatReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

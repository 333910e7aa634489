import { parseX25519PublicKey, type X25519PublicKey, type X25519Purpose } from '@nexodus/wireguard';
import { BOX_NONCE_BYTES, type CryptoBox } from './crypto-box.ts';
import { DerpFormatError } from './derp-format-error.ts';
import { payloadOf, type Frame } from './frame-reader.ts';

/** Seals a message behind its nonce, as frames carry boxes. */
export function sealWithNonce(
  box: CryptoBox,
  message: Uint8Array,
  nonce: Uint8Array,
): readonly [nonce: Uint8Array, sealed: Uint8Array] {
  return [nonce, box.seal(message, nonce)];
}

/** Opens a nonce and the box behind it. Throws DerpFormatError(`box`). */
export function openWithNonce(box: CryptoBox, bytes: Uint8Array): Uint8Array {
  const nonce = bytes.subarray(0, BOX_NONCE_BYTES);
  const message = box.open(bytes.subarray(BOX_NONCE_BYTES), nonce);
  if (message === undefined) {
    throw new DerpFormatError('box', 'The box was not made with this key for this connection.');
  }
  return message;
}

/** The payload of the one frame that may come now. Throws DerpFormatError(`order` or `frame`). */
export function expectFrame(frame: Frame, type: number, leastBytes: number): Uint8Array {
  if (frame.type !== type) {
    throw new DerpFormatError('order', 'Another frame of the handshake was expected.');
  }
  const payload = payloadOf(frame);
  if (payload.length < leastBytes) {
    throw new DerpFormatError('frame', 'A frame of the handshake is too short.');
  }
  return payload;
}

/** A public key in a frame. Throws DerpFormatError(`key`). */
export function keyInFrame<P extends X25519Purpose>(
  bytes: Uint8Array,
  purpose: P,
): X25519PublicKey<P> {
  try {
    return parseX25519PublicKey(bytes, purpose);
  } catch {
    throw new DerpFormatError('key', 'The handshake names a key that is none.');
  }
}

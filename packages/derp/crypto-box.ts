import { hsalsa, xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import type { X25519PrivateKey, X25519PublicKey, X25519Purpose } from '@nexodus/wireguard';

/** Size of a nonce of crypto_box. */
export const BOX_NONCE_BYTES = 24;

/** What a box is longer than its message: the Poly1305 tag. */
export const BOX_TAG_BYTES = 16;

/** "expand 32-byte k", the constant of Salsa20 with keys of 32 bytes. */
const SIGMA = wordsOf(new TextEncoder().encode('expand 32-byte k'));

/**
 * NaCl's crypto_box between two keys: X25519, HSalsa20 of the shared secret, XSalsa20-Poly1305 ("Cryptography in NaCl",
 * sections 5 to 10). Whoever can open a box knows that the holder of one of the two keys made it. The key cannot be
 * printed: no inspection shows private fields.
 */
export class CryptoBox {
  readonly #key: Uint8Array;

  /** Throws InvalidKeyError(`low-order`) for a public key with which there is no secret. */
  constructor(own: X25519PrivateKey<X25519Purpose>, peer: X25519PublicKey) {
    this.#key = beforeNm(own.sharedSecret(peer));
  }

  /** Seals a message. A nonce of 24 bytes serves once between two keys. */
  seal(message: Uint8Array, nonce: Uint8Array): Uint8Array {
    return xsalsa20poly1305(this.#key, nonce).encrypt(message);
  }

  /** Opens a box; undefined where it was not made with these keys and this nonce, or was changed. */
  open(box: Uint8Array, nonce: Uint8Array): Uint8Array | undefined {
    if (box.length < BOX_TAG_BYTES || nonce.length !== BOX_NONCE_BYTES) return undefined;
    try {
      return xsalsa20poly1305(this.#key, nonce).decrypt(box);
    } catch {
      // Lengths are right, so what the library found wrong is the tag.
      return undefined;
    }
  }
}

/** crypto_box_beforenm: the secret as a key of XSalsa20-Poly1305. */
function beforeNm(sharedSecret: Uint8Array): Uint8Array {
  const key = new Uint32Array(8);
  hsalsa(SIGMA, wordsOf(sharedSecret), new Uint32Array(4), key);
  return new Uint8Array(key.buffer);
}

/** The bytes as the words in which the library reads them. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(new Uint8Array(bytes).buffer);
}

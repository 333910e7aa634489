import { createPrivateKey, createPublicKey, diffieHellman, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import type { KeyObject } from 'node:crypto';
import { decodeBase64Key, encodeBase64Key } from './base64-key.ts';
import { InvalidKeyError } from './invalid-key-error.ts';
import { X25519_KEY_BYTES } from './x25519-public-key.ts';
import type { X25519PublicKey, X25519Purpose } from './x25519-public-key.ts';

/** Source of `size` unpredictable bytes. */
export type RandomBytes = (size: number) => Uint8Array;

/** DER of a PKCS #8 PrivateKeyInfo for X25519, up to the 32 key bytes (RFC 8410 section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** DER of a SubjectPublicKeyInfo for X25519, up to the 32 key bytes (RFC 8410 section 4). */
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

/** Clears the cofactor bits and fixes the top ones of a scalar (RFC 7748 section 5). */
function clamp(scalar: Uint8Array): Uint8Array {
  const clamped = new Uint8Array(scalar);
  clamped[0] = (clamped[0] ?? 0) & 0xf8;
  clamped[31] = ((clamped[31] ?? 0) & 0x7f) | 0x40;
  return clamped;
}

function importPrivateKey(scalar: Uint8Array): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, scalar]),
    format: 'der',
    type: 'pkcs8',
  });
}

function importPublicKey(key: X25519PublicKey): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, key]), format: 'der', type: 'spki' });
}

function exportPublicKey(privateKey: KeyObject): Uint8Array {
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return new Uint8Array(der.subarray(SPKI_PREFIX.length));
}

/**
 * A clamped X25519 private key for one purpose. It cannot be printed: `toString`, `toJSON` and
 * `util.inspect` give a fixed text, and the bytes leave only through the `export` methods.
 */
export class X25519PrivateKey<P extends X25519Purpose> {
  readonly purpose: P;
  readonly publicKey: X25519PublicKey<P>;
  readonly #scalar: Uint8Array;
  readonly #key: KeyObject;

  private constructor(scalar: Uint8Array, purpose: P) {
    this.#scalar = clamp(scalar);
    this.#key = importPrivateKey(this.#scalar);
    this.purpose = purpose;
    this.publicKey = exportPublicKey(this.#key) as X25519PublicKey<P>;
  }

  /** Makes a new key. `random` is the system's generator unless a test gives another. */
  static generate<P extends X25519Purpose>(
    purpose: P,
    random: RandomBytes = randomBytes,
  ): X25519PrivateKey<P> {
    return X25519PrivateKey.fromBytes(random(X25519_KEY_BYTES), purpose);
  }

  /** Takes 32 bytes and clamps them. Throws InvalidKeyError(`wrong-length`). */
  static fromBytes<P extends X25519Purpose>(bytes: Uint8Array, purpose: P): X25519PrivateKey<P> {
    if (bytes.length !== X25519_KEY_BYTES) {
      throw new InvalidKeyError(
        'wrong-length',
        `A ${purpose} private key is ${X25519_KEY_BYTES} bytes, not ${bytes.length}.`,
      );
    }
    return new X25519PrivateKey(bytes, purpose);
  }

  /** Takes the base64 text of `wg genkey`. Throws InvalidKeyError. */
  static fromBase64<P extends X25519Purpose>(text: string, purpose: P): X25519PrivateKey<P> {
    return X25519PrivateKey.fromBytes(decodeBase64Key(text), purpose);
  }

  /**
   * X25519(this, peer), 32 bytes (RFC 7748 section 6.1). Secret and not uniform: feed it to a key
   * derivation at once, never store it. Throws InvalidKeyError(`low-order`) instead of returning
   * the all-zero secret.
   */
  sharedSecret(peer: X25519PublicKey): Uint8Array {
    try {
      const secret = diffieHellman({ privateKey: this.#key, publicKey: importPublicKey(peer) });
      if (secret.some((byte) => byte !== 0)) return new Uint8Array(secret);
    } catch {
      // OpenSSL itself fails the derivation when the result is all zero.
    }
    throw new InvalidKeyError('low-order', `The peer's key yields no shared secret.`);
  }

  /** The 32 clamped bytes, to be kept where only the owner reads. */
  exportBytes(): Uint8Array {
    return new Uint8Array(this.#scalar);
  }

  /** The base64 text that `wg set ... private-key` and wireguard-go accept. */
  exportBase64(): string {
    return encodeBase64Key(this.#scalar);
  }

  toString(): string {
    return `[${this.purpose} private key]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

import { createPrivateKey, createPublicKey, randomBytes, sign } from 'node:crypto';
import { inspect } from 'node:util';
import type { KeyObject } from 'node:crypto';
import type { RandomBytes } from '@nexodus/wireguard';
import {
  ED25519_KEY_BYTES,
  ED25519_SPKI_PREFIX,
  InvalidSigningKeyError,
} from './ed25519-public-key.ts';
import type { Ed25519PublicKey, Ed25519Purpose } from './ed25519-public-key.ts';

/** DER of a PKCS #8 PrivateKeyInfo for Ed25519, up to the 32 seed bytes (RFC 8410 section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * An Ed25519 private key for one purpose. It cannot be printed: `toString`, `toJSON` and
 * `util.inspect` give a fixed text, and the seed leaves only through the `export` methods.
 */
export class Ed25519PrivateKey<P extends Ed25519Purpose> {
  readonly purpose: P;
  readonly publicKey: Ed25519PublicKey<P>;
  readonly #seed: Uint8Array;
  readonly #key: KeyObject;

  private constructor(seed: Uint8Array, purpose: P) {
    this.purpose = purpose;
    this.#seed = new Uint8Array(seed);
    const der = Buffer.concat([PKCS8_PREFIX, this.#seed]);
    this.#key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(this.#key).export({ format: 'der', type: 'spki' });
    const publicBytes = new Uint8Array(spki.subarray(ED25519_SPKI_PREFIX.length));
    this.publicKey = publicBytes as Ed25519PublicKey<P>;
  }

  /** Makes a new key. `random` is the system's generator unless a test gives another. */
  static generate<P extends Ed25519Purpose>(
    purpose: P,
    random: RandomBytes = randomBytes,
  ): Ed25519PrivateKey<P> {
    return Ed25519PrivateKey.fromSeed(random(ED25519_KEY_BYTES), purpose);
  }

  /** Takes a seed of 32 bytes (RFC 8032 section 5.1.5). Throws InvalidSigningKeyError. */
  static fromSeed<P extends Ed25519Purpose>(seed: Uint8Array, purpose: P): Ed25519PrivateKey<P> {
    if (seed.length !== ED25519_KEY_BYTES) {
      throw new InvalidSigningKeyError(
        `A ${purpose} private key is ${ED25519_KEY_BYTES} bytes, not ${seed.length}.`,
      );
    }
    return new Ed25519PrivateKey(seed, purpose);
  }

  /** Takes the text of `exportBase64`. Throws InvalidSigningKeyError. */
  static fromBase64<P extends Ed25519Purpose>(text: string, purpose: P): Ed25519PrivateKey<P> {
    const seed = Buffer.from(text, 'base64');
    if (seed.toString('base64') !== text) {
      throw new InvalidSigningKeyError(`A ${purpose} private key is 44 characters of base64.`);
    }
    return Ed25519PrivateKey.fromSeed(seed, purpose);
  }

  /** The 64-byte Ed25519 signature of `message`; the same message always gives the same bytes. */
  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.#key));
  }

  /** The private key as jose takes it. Its inspection shows no key material. */
  keyObject(): KeyObject {
    return this.#key;
  }

  /** The 32-byte seed, to be kept where only the owner reads. */
  exportSeed(): Uint8Array {
    return new Uint8Array(this.#seed);
  }

  /** The seed in padded base64. */
  exportBase64(): string {
    return Buffer.from(this.#seed).toString('base64');
  }

  toString(): string {
    return `[${this.purpose} signing key]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** A device's identity. It is made on the device and never leaves it. */
export type DevicePrivateKey = Ed25519PrivateKey<'device'>;

/** A private key by which a device or a service account authenticates. */
export type CallerPrivateKey = Ed25519PrivateKey<'device'> | Ed25519PrivateKey<'service-account'>;

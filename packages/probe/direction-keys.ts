import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { inspect } from 'node:util';

/** From the device with the lesser disco key to the other (0), or back (1). */
export type Direction = 0 | 1;

const KEY_BYTES = 32;
const TAG_BYTES = 4;
/** Of Poly1305 (RFC 8439 section 2.5). */
const SEAL_TAG_BYTES = 16;
/** Of ChaCha20-Poly1305 (RFC 8439 section 2.8). */
export const SEAL_NONCE_BYTES = 12;
/** What a sealed message is longer than its nonce and plaintext. */
export const SEAL_OVERHEAD_BYTES = SEAL_TAG_BYTES;

const CIPHER = 'chacha20-poly1305';

/**
 * What one device of a pair needs to write, and the other to read, in one direction: a key for codes of probes, one for
 * sealing signals, and the tag that names pair and sender on probes. It cannot be printed.
 */
export class DirectionKeys {
  readonly direction: Direction;
  /** 32 bits that tell the receiver which pair a probe is of. Everybody on the way sees them. */
  readonly tag: number;
  readonly #macKey: KeyObject;
  readonly #sealKey: KeyObject;

  /** Derives the keys of a direction from the secret of the pair. */
  constructor(secret: Uint8Array, direction: Direction) {
    this.direction = direction;
    this.#macKey = createSecretKey(expand(secret, `mac${direction}`, KEY_BYTES));
    this.#sealKey = createSecretKey(expand(secret, `seal${direction}`, KEY_BYTES));
    this.tag = expand(secret, `tag${direction}`, TAG_BYTES).readUInt32BE();
  }

  /** The first `length` bytes of HMAC-SHA256 of a probe. */
  authenticate(length: number, bytes: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#macKey).update(bytes).digest().subarray(0, length);
  }

  /** Ciphertext and tag. A nonce serves once. */
  seal(plaintext: Uint8Array, nonce: Uint8Array, kind: number): Uint8Array {
    const cipher = createCipheriv(CIPHER, this.#sealKey, nonce, { authTagLength: SEAL_TAG_BYTES });
    cipher.setAAD(this.#additionalData(kind), { plaintextLength: plaintext.length });
    return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  /** What was sealed with these keys, this nonce and this kind; undefined for everything else. Never throws. */
  open(sealed: Uint8Array, nonce: Uint8Array, kind: number): Buffer | undefined {
    const length = sealed.length - SEAL_TAG_BYTES;
    if (length < 0 || nonce.length !== SEAL_NONCE_BYTES) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#sealKey, nonce, {
      authTagLength: SEAL_TAG_BYTES,
    });
    decipher.setAAD(this.#additionalData(kind), { plaintextLength: length });
    decipher.setAuthTag(sealed.subarray(length));
    const plaintext = decipher.update(sealed.subarray(0, length));
    try {
      return Buffer.concat([plaintext, decipher.final()]);
    } catch {
      // Lengths are right, so what is wrong is the tag.
      return undefined;
    }
  }

  toString(): string {
    return '[probe keys]';
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }

  #additionalData(kind: number): Uint8Array {
    return Uint8Array.of(this.direction, kind);
  }
}

/** HKDF-SHA256 (RFC 5869) without salt. */
function expand(secret: Uint8Array, info: string, lengthBytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, new Uint8Array(), info, lengthBytes));
}

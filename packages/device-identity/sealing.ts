import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { inspect } from 'node:util';
import type { RandomBytes } from '@nexodus/wireguard';

const VERSION = 1;
const SALT_BYTES = 32;
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + SALT_BYTES;

/** A 256-bit secret from which sealing keys are derived. It cannot be printed. */
export class SealingKey {
  readonly #bytes: Uint8Array;

  /** Takes 32 secret, uniform bytes. Throws RangeError for another length. */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== KEY_BYTES) throw new RangeError(`A sealing key is ${KEY_BYTES} bytes.`);
    this.#bytes = new Uint8Array(bytes);
  }

  /** HKDF-SHA256 (RFC 5869) of the key. */
  derive(salt: Uint8Array, info: string, lengthBytes: number): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#bytes, salt, info, lengthBytes));
  }

  toString(): string {
    return '[sealing key]';
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** What a sealed box is for: boxes of one use do not open as another. */
export type SealingUse = 'nexodus-enrol-cookie-v1' | 'nexodus-state-v1';

/**
 * Seals bytes with AES-256-GCM: version (1), salt (32), ciphertext, tag (16). Key and IV of each
 * box come from HKDF over its own salt, so that no number of boxes wears a key out.
 */
export function seal(
  plaintext: Uint8Array,
  key: SealingKey,
  use: SealingUse,
  random: RandomBytes,
): Uint8Array {
  const header = Buffer.concat([Buffer.of(VERSION), random(SALT_BYTES)]);
  const { boxKey, iv } = deriveBoxKey(key, header.subarray(1), use);
  const cipher = createCipheriv('aes-256-gcm', boxKey, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(header);
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return new Uint8Array(Buffer.concat([header, body, cipher.getAuthTag()]));
}

/** Opens what `seal` made with the same key and use; undefined when it was not, or was altered. */
export function open(box: Uint8Array, key: SealingKey, use: SealingUse): Uint8Array | undefined {
  if (box.length < HEADER_BYTES + TAG_BYTES || box[0] !== VERSION) return undefined;
  const header = box.subarray(0, HEADER_BYTES);
  const { boxKey, iv } = deriveBoxKey(key, header.subarray(1), use);
  const decipher = createDecipheriv('aes-256-gcm', boxKey, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(header);
  decipher.setAuthTag(box.subarray(box.length - TAG_BYTES));
  const plaintext = decipher.update(box.subarray(HEADER_BYTES, box.length - TAG_BYTES));
  try {
    return new Uint8Array(Buffer.concat([plaintext, decipher.final()]));
  } catch {
    return undefined;
  }
}

function deriveBoxKey(
  key: SealingKey,
  salt: Uint8Array,
  use: SealingUse,
): { boxKey: Buffer; iv: Buffer } {
  const derived = key.derive(salt, use, KEY_BYTES + IV_BYTES);
  return { boxKey: derived.subarray(0, KEY_BYTES), iv: derived.subarray(KEY_BYTES) };
}

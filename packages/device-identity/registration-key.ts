import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';
import { base32nopad } from '@scure/base';
import type { RandomBytes } from '@nexodus/wireguard';

const MARK = 'nxr_';
const ID_BYTES = 5;
const ID_CHARACTERS = 8;
const SECRET_BYTES = 20;
const CHECKSUM_BYTES = 5;
const SECRET_CHARACTERS = 40;
const FORM = new RegExp(`^${MARK}([a-z2-7]{${ID_CHARACTERS}})_([a-z2-7]{${SECRET_CHARACTERS}})$`);

/** `not-a-key`: no such text at all; `mistyped`: the form of a key whose checksum is wrong. */
export type RegistrationKeyRefusal = 'not-a-key' | 'mistyped';

/** The only error of `parseRegistrationKey`. Its text never holds the key. */
export class RegistrationKeyError extends Error {
  readonly reason: RegistrationKeyRefusal;

  constructor(reason: RegistrationKeyRefusal) {
    super(
      reason === 'mistyped'
        ? 'The registration key is mistyped: its checksum does not match. Copy it again.'
        : `This is not a registration key: one starts with "${MARK}" and has ` +
            `${MARK.length + ID_CHARACTERS + 1 + SECRET_CHARACTERS} characters.`,
    );
    this.name = 'RegistrationKeyError';
    this.reason = reason;
  }
}

/**
 * A registration key, "nxr_<id>_<secret and checksum>" in lower-case base32 (RFC 4648 section 6):
 * 40 bits of id, 160 of secret, 40 of checksum. It cannot be printed; what may be stored and
 * shown are `hash` and `prefix`.
 */
export class RegistrationKey {
  /** "nxr_" and the id: tells keys apart in lists, opens nothing. */
  readonly prefix: string;
  /** SHA-256 of the key's text, 32 bytes: what the service stores and looks keys up by. */
  readonly hash: Uint8Array;
  readonly #text: string;

  /** Use `generateRegistrationKey` or `parseRegistrationKey`. */
  constructor(text: string) {
    this.#text = text;
    this.prefix = text.slice(0, MARK.length + ID_CHARACTERS);
    this.hash = new Uint8Array(createHash('sha256').update(text).digest());
  }

  /** The whole key, to be shown once to who made it. */
  exportText(): string {
    return this.#text;
  }

  toString(): string {
    return `[registration key ${this.prefix}]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** Makes a new key. `random` is the system's generator unless a test gives another. */
export function generateRegistrationKey(random: RandomBytes = randomBytes): RegistrationKey {
  const id = random(ID_BYTES);
  const secret = random(SECRET_BYTES);
  const body = Buffer.concat([secret, checksum(id, secret)]);
  return new RegistrationKey(`${MARK}${encode(id)}_${encode(body)}`);
}

/** Reads a key as people paste it: case and surrounding white space are ignored. Throws
 * RegistrationKeyError. */
export function parseRegistrationKey(input: string): RegistrationKey {
  const text = input.trim().toLowerCase();
  const [, idText, bodyText] = FORM.exec(text) ?? [];
  if (idText === undefined || bodyText === undefined) throw new RegistrationKeyError('not-a-key');
  const body = base32nopad.decode(bodyText.toUpperCase());
  const expected = checksum(
    base32nopad.decode(idText.toUpperCase()),
    body.subarray(0, SECRET_BYTES),
  );
  if (Buffer.compare(expected, body.subarray(SECRET_BYTES)) !== 0) {
    throw new RegistrationKeyError('mistyped');
  }
  return new RegistrationKey(text);
}

/** Whether two hashes of keys are equal, in constant time. */
export function registrationKeyHashesEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

function checksum(id: Uint8Array, secret: Uint8Array): Uint8Array {
  const hash = createHash('sha256').update('nexodus-registration-key-v1').update(id).update(secret);
  return new Uint8Array(hash.digest().subarray(0, CHECKSUM_BYTES));
}

function encode(bytes: Uint8Array): string {
  return base32nopad.encode(new Uint8Array(bytes)).toLowerCase();
}

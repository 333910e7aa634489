import { createHmac, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';

/** Length of a key in bytes. */
const RELAY_REGISTRATION_KEY_BYTES = 32;

/** Source of `size` unpredictable bytes. */
type RandomBytes = (size: number) => Uint8Array;

/**
 * The secret of one side of one relay session. The relay draws it and gives it to the device over TLS. It cannot be
 * printed: the bytes leave only through `exportBytes`.
 */
export class RelayRegistrationKey {
  readonly #bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.#bytes = Uint8Array.from(bytes);
  }

  /** Draws a key; `random` is the system's generator unless a test gives another. */
  static generate(random: RandomBytes = randomBytes): RelayRegistrationKey {
    return RelayRegistrationKey.fromBytes(random(RELAY_REGISTRATION_KEY_BYTES));
  }

  /**
   * Takes 32 bytes.
   *
   * @throws {RangeError} for another number
   */
  static fromBytes(bytes: Uint8Array): RelayRegistrationKey {
    if (bytes.length !== RELAY_REGISTRATION_KEY_BYTES) {
      throw new RangeError(`a registration key is ${RELAY_REGISTRATION_KEY_BYTES} bytes`);
    }
    return new RelayRegistrationKey(bytes);
  }

  /** The first `length` bytes of HMAC-SHA256 over the parts, one after the other. */
  authenticate(length: number, ...parts: readonly Uint8Array[]): Uint8Array {
    const mac = createHmac('sha256', this.#bytes);
    for (const part of parts) mac.update(part);
    return mac.digest().subarray(0, length);
  }

  /** The bytes, to be handed to the device or to another thread. */
  exportBytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  toString(): string {
    return '[relay registration key]';
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

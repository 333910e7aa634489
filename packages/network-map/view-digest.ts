import { createHash } from 'node:crypto';

/** Size of a digest. */
const VIEW_DIGEST_BYTES = 32;

const LABEL = 'nexodus-view-v1';
const MODULUS_MASK = (1n << 256n) - 1n;

/**
 * Order-independent digest of the entries of a view (docs/protocol/agent.md): the sum modulo 2^256, as 32 bytes big
 * endian, of SHA-256("nexodus-view-v1" || length of the key, 32 bits big endian || key || value) over the entries.
 *
 * A value of this class never changes; `with` and `without` cost one hash, whatever the size of the view. It tells
 * honest parties whether they hold the same entries; it is no signature.
 */
export class ViewDigest {
  /** Digest of no entries: 32 zero bytes. */
  static readonly empty = new ViewDigest(0n);

  readonly #sum: bigint;

  private constructor(sum: bigint) {
    this.#sum = sum;
  }

  /** Digest of these entries, keys being unique. */
  static of(entries: Iterable<readonly [key: string, value: Uint8Array]>): ViewDigest {
    let sum = 0n;
    for (const [key, value] of entries) sum += hashEntry(key, value);
    return new ViewDigest(sum & MODULUS_MASK);
  }

  /** Digest of all entries that these are digests of, keys being unique. Costs no hash. */
  static sum(digests: Iterable<ViewDigest>): ViewDigest {
    let sum = 0n;
    for (const digest of digests) sum += digest.#sum;
    return new ViewDigest(sum & MODULUS_MASK);
  }

  /** Digest with one entry more. The caller knows that the key was not in it. */
  with(key: string, value: Uint8Array): ViewDigest {
    return new ViewDigest((this.#sum + hashEntry(key, value)) & MODULUS_MASK);
  }

  /** Digest with one entry less. The caller knows that this very entry was in it. */
  without(key: string, value: Uint8Array): ViewDigest {
    return new ViewDigest((this.#sum - hashEntry(key, value)) & MODULUS_MASK);
  }

  /** The 32 bytes. */
  toBytes(): Uint8Array {
    return new Uint8Array(
      Buffer.from(this.#sum.toString(16).padStart(2 * VIEW_DIGEST_BYTES, '0'), 'hex'),
    );
  }

  /** Whether these are the bytes of this digest. */
  equals(bytes: Uint8Array): boolean {
    return Buffer.compare(this.toBytes(), bytes) === 0;
  }
}

function hashEntry(key: string, value: Uint8Array): bigint {
  const keyBytes = Buffer.from(key, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(keyBytes.length);
  const hash = createHash('sha256').update(LABEL).update(length).update(keyBytes).update(value);
  return BigInt(`0x${hash.digest('hex')}`);
}

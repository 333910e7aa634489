/** How much one source may ask. */
export interface SourceLimit {
  /** Requests per second that a source may keep up. */
  readonly ratePerSecond: number;
  /** Requests that a source may send at once after a pause. */
  readonly burst: number;
  /** Sources that are told apart at the same time; rounded up to a power of two, at least 8. */
  readonly tableSize: number;
}

/** A source as two 32-bit words: see `sourceKeyHigh`. */
const KEY_WORDS = 2;
/** Places in which a source may be found: their keys fill one cache line. */
const WAYS = 8;
const INSTANT_BYTES = 8;
const KEY_BYTES = 4 * KEY_WORDS;
/** AF_INET. */
const FAMILY_IPV4 = 2;
/** High word of all IPv4 sources: as an IPv6 prefix it is multicast, and no source. */
const IPV4_HIGH_WORD = 0xffff_ffff;

/** Bytes of storage that a limiter of this size needs. */
export function sourceLimiterBytes({ tableSize }: SourceLimit): number {
  return placesOf(tableSize) * (INSTANT_BYTES + KEY_BYTES) + INSTANT_BYTES;
}

/**
 * A token bucket for each source: an IPv4 address, or an IPv6 /64, which one host can hold whole.
 *
 * A bucket is kept as the instant at which it will be full again (the "theoretical arrival time" of the generic cell
 * rate algorithm, ITU-T I.371). A full bucket says nothing, so its place is free. A source has eight places where its
 * bucket may be, by a hash with a secret seed. No source loses a bucket that still counts; a newcomer that finds none of
 * its places free shares one bucket with all such newcomers. Senders of forged sources can therefore slow down
 * newcomers, and neither free themselves nor make the table grow.
 *
 * Several threads may share the storage. They do not lock it: where two write the same place at the same instant, a
 * token may be taken once instead of twice, and nothing worse.
 */
export class SourceLimiter {
  readonly #intervalMs: number;
  readonly #toleranceMs: number;
  readonly #seed: number;
  readonly #setMask: number;
  /** When each bucket is full again. Behind the places: the bucket of the newcomers. */
  readonly #fullAtMs: Float64Array;
  readonly #keys: Uint32Array;
  readonly #newcomers: number;

  /** `storage` has `sourceLimiterBytes` zero bytes; threads that share it use the same limit, seed and clock. */
  constructor(
    { ratePerSecond, burst, tableSize }: SourceLimit,
    storage: ArrayBufferLike,
    seed: number,
  ) {
    const places = placesOf(tableSize);
    this.#intervalMs = 1_000 / ratePerSecond;
    this.#toleranceMs = (burst - 1) * this.#intervalMs;
    this.#seed = seed;
    this.#setMask = places / WAYS - 1;
    this.#newcomers = places;
    this.#fullAtMs = new Float64Array(storage, 0, places + 1);
    this.#keys = new Uint32Array(storage, (places + 1) * INSTANT_BYTES, places * KEY_WORDS);
  }

  /**
   * Takes a token of the source at `offset` of `addresses`, a raw socket address; false where it has none. `nowMs` is
   * above 0 and never goes back.
   */
  admit(addresses: DataView, offset: number, nowMs: number): boolean {
    const isIpv4 = addresses.getUint8(offset) === FAMILY_IPV4;
    const high = isIpv4 ? IPV4_HIGH_WORD : addresses.getUint32(offset + 8);
    const low = addresses.getUint32(offset + (isIpv4 ? 4 : 12));
    const place = this.#placeOf(high, low, nowMs);
    const fullAtMs = this.#fullAtMs[place] ?? 0;
    if (fullAtMs - nowMs > this.#toleranceMs) return false;
    this.#fullAtMs[place] = Math.max(fullAtMs, nowMs) + this.#intervalMs;
    return true;
  }

  /** The place of a source, which is its own from then on, or that of the newcomers. */
  #placeOf(high: number, low: number, nowMs: number): number {
    const first = (hash(high, low, this.#seed) & this.#setMask) * WAYS;
    let free = this.#newcomers;
    for (let place = first; place < first + WAYS; place += 1) {
      if (this.#keys[place * KEY_WORDS] === high && this.#keys[place * KEY_WORDS + 1] === low) {
        return place;
      }
      if (free === this.#newcomers && (this.#fullAtMs[place] ?? 0) <= nowMs) free = place;
    }
    if (free !== this.#newcomers) {
      this.#keys[free * KEY_WORDS] = high;
      this.#keys[free * KEY_WORDS + 1] = low;
    }
    return free;
  }
}

function placesOf(tableSize: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(tableSize, WAYS)));
}

/** Two rounds of MurmurHash3's mixing: spreads evenly, and without the seed nobody can aim at a set. */
function hash(high: number, low: number, seed: number): number {
  let mixed = Math.imul(high ^ seed, 0x85eb_ca6b);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed ^ low, 0xc2b2_ae35);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed ^ seed, 0x85eb_ca6b);
  return mixed ^ (mixed >>> 16);
}

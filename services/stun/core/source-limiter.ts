import type { IpAddress } from '@nexodus/netip';

/** How much one source may ask. */
export interface SourceLimit {
  /** Requests per second that a source may keep up. */
  readonly ratePerSecond: number;
  /** Requests that a source may send at once after a pause. */
  readonly burst: number;
  /** Sources that are told apart at the same time. */
  readonly tableSize: number;
}

type SourceKey = number | bigint;

/**
 * A token bucket for each source: an IPv4 address, or an IPv6 /64, which one host can hold whole.
 *
 * A bucket is kept as the instant at which it will be full again (the "theoretical arrival time" of the generic cell
 * rate algorithm, ITU-T I.371). A full bucket says nothing, so it can be forgotten: when the table is full, a new source
 * takes the place of the one that was admitted longest ago, if that one's bucket is full again. No source loses a bucket
 * that still counts; while there is no such place, newcomers share one bucket. Senders of forged sources can therefore
 * slow down newcomers, and neither free themselves nor make the table grow.
 */
export class SourceLimiter {
  readonly #intervalMs: number;
  readonly #toleranceMs: number;
  readonly #tableSize: number;
  /** When each bucket is full again, in the order of the last admission. */
  readonly #fullAt = new Map<SourceKey, number>();
  #newcomersFullAt = -Infinity;

  constructor({ ratePerSecond, burst, tableSize }: SourceLimit) {
    this.#intervalMs = 1_000 / ratePerSecond;
    this.#toleranceMs = (burst - 1) * this.#intervalMs;
    this.#tableSize = tableSize;
  }

  /** Number of sources in the table. */
  get size(): number {
    return this.#fullAt.size;
  }

  /** Takes a token of the source; false where it has none. `nowMs` never goes back. */
  admit(source: IpAddress, nowMs: number): boolean {
    const key = sourceKey(source);
    const known = this.#fullAt.get(key);
    if (known === undefined && !this.#makeRoom(nowMs)) {
      const next = this.#taken(this.#newcomersFullAt, nowMs);
      this.#newcomersFullAt = next ?? this.#newcomersFullAt;
      return next !== undefined;
    }
    const next = this.#taken(known ?? nowMs, nowMs);
    if (next === undefined) return false;
    this.#fullAt.delete(key);
    this.#fullAt.set(key, next);
    return true;
  }

  /** The bucket after a token was taken, or undefined where there is none. */
  #taken(fullAt: number, nowMs: number): number | undefined {
    if (fullAt - nowMs > this.#toleranceMs) return undefined;
    return Math.max(fullAt, nowMs) + this.#intervalMs;
  }

  #makeRoom(nowMs: number): boolean {
    if (this.#fullAt.size < this.#tableSize) return true;
    const [oldest] = this.#fullAt;
    if (oldest === undefined || oldest[1] > nowMs) return false;
    this.#fullAt.delete(oldest[0]);
    return true;
  }
}

function sourceKey({ family, value }: IpAddress): SourceKey {
  return family === 4 ? Number(value) : value >> 64n;
}

import type { SessionSide } from '@nexodus/relay-registration';
import { burstBytes } from './session-table.ts';
import { TokenBucket } from './token-bucket.ts';

/** What a session may carry in a lane. */
export interface UseLimits {
  /** Bytes of both directions together; Infinity for no end. */
  readonly quotaBytes: number;
  /** Bytes per second of each direction on average; Infinity for no limit. */
  readonly rateBytesPerSecond: number;
}

/**
 * Whether a session may carry so many bytes more. `limit`: more than its rate lets through now; `spent`: its quota is
 * used up.
 */
export type UseVerdict = 'carried' | 'limit' | 'spent';

/** What a session carried in a lane. Instants are of one clock that never goes back. */
export class LaneUse {
  readonly #quotaBytes: number;
  /** By side that sends. */
  readonly #rates: readonly [TokenBucket, TokenBucket] | undefined;
  #bytes: number;
  #usedAtMs: number;

  /** `usedBytes` were carried for the same pair before. */
  constructor({ quotaBytes, rateBytesPerSecond }: UseLimits, nowMs: number, usedBytes = 0) {
    this.#quotaBytes = quotaBytes;
    this.#bytes = usedBytes;
    this.#usedAtMs = nowMs;
    if (!Number.isFinite(rateBytesPerSecond)) return;
    const limit = { ratePerSecond: rateBytesPerSecond, burst: burstBytes(rateBytesPerSecond) };
    this.#rates = [new TokenBucket(limit), new TokenBucket(limit)];
  }

  /** Bytes that count for the quota. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts bytes that a side sends, where they may pass. */
  take(side: SessionSide, bytes: number, nowMs: number): UseVerdict {
    if (this.#bytes >= this.#quotaBytes) return 'spent';
    this.#usedAtMs = nowMs;
    if (this.#rates?.[side].take(bytes, nowMs) === false) return 'limit';
    this.#bytes += bytes;
    return 'carried';
  }

  /** Whether it was used in the last `ms` milliseconds; being new counts. */
  isUsedWithin(ms: number, nowMs: number): boolean {
    return nowMs - this.#usedAtMs < ms;
  }
}

/** What may pass: so many units per second on average, and so many at once after a pause. */
export interface BucketLimit {
  readonly ratePerSecond: number;
  readonly burst: number;
}

/**
 * A token bucket, kept as the instant at which it will be full again (the "theoretical arrival time" of the generic cell
 * rate algorithm, ITU-T I.371): one number, and nothing to refill. The clock it is given never goes back.
 */
export class TokenBucket {
  readonly #msPerUnit: number;
  readonly #depthMs: number;
  #fullAtMs = -Infinity;

  constructor({ ratePerSecond, burst }: BucketLimit) {
    this.#msPerUnit = 1_000 / ratePerSecond;
    this.#depthMs = burst * this.#msPerUnit;
  }

  /** Takes `units`; false, and nothing is taken, where there are not so many. */
  take(units: number, nowMs: number): boolean {
    const next = Math.max(this.#fullAtMs, nowMs) + units * this.#msPerUnit;
    if (next - nowMs > this.#depthMs) return false;
    this.#fullAtMs = next;
    return true;
  }
}

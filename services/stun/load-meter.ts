import type { StunCounts } from '@nexodus/stun-server';

/** Measures how many requests arrive per second. Instants are of one monotonic clock. */
export class LoadMeter {
  #requests = 0;
  #atMs: number;

  /** Begins to measure. */
  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Requests per second since it was asked before, rounded; 0 where no time has passed. */
  read(counts: StunCounts | undefined, nowMs: number): number {
    const requests = counts === undefined ? 0 : counts.answered + counts.refused + counts.limited;
    const passedMs = nowMs - this.#atMs;
    const came = requests - this.#requests;
    this.#requests = requests;
    this.#atMs = nowMs;
    return passedMs > 0 ? Math.round((came * 1_000) / passedMs) : 0;
  }
}

/** How often in how long. */
export interface CallAllowance {
  readonly calls: number;
  readonly windowMs: number;
}

/** Keys that are remembered: about 10 MB. With more of them in one window the oldest window is forgotten. */
const mostKeys = 65_536;

/** Counts calls by key in windows that begin with the first call of each. */
export class CallWindows {
  readonly #allowance: CallAllowance;
  /** In order of their ends, as all are equally long. */
  readonly #windows = new Map<string, { endsAt: number; calls: number }>();

  constructor(allowance: CallAllowance) {
    this.#allowance = allowance;
  }

  /** Number of keys that are remembered. */
  get size(): number {
    return this.#windows.size;
  }

  /** Counts a call; returns how long to wait, in milliseconds, when it is one too many. */
  count(key: string, nowMs: number): number | undefined {
    this.#forget(nowMs);
    const { calls, windowMs } = this.#allowance;
    const window = this.#windows.get(key) ?? { endsAt: nowMs + windowMs, calls: 0 };
    this.#windows.set(key, window);
    if (window.calls >= calls) return window.endsAt - nowMs;
    window.calls += 1;
    return undefined;
  }

  /** Takes back a call that was counted, for one that turned out to be welcome. */
  giveBack(key: string): void {
    const window = this.#windows.get(key);
    if (window !== undefined && window.calls > 0) window.calls -= 1;
  }

  #forget(nowMs: number): void {
    for (const [key, { endsAt }] of this.#windows) {
      if (endsAt > nowMs && this.#windows.size < mostKeys) return;
      this.#windows.delete(key);
    }
  }
}

import type { Clock } from '@nexodus/clock';

import type { RecordStore } from './record-store.ts';
import type { SoftStateChange } from './soft-state-store.ts';
import { SoftStateView } from './soft-state-view.ts';

/** What a watch needs. */
export interface WatchOptions {
  readonly store: RecordStore;
  readonly pattern: string;
  readonly clock: Clock;
  /** Time between two readings of everything. */
  readonly rereadMs: number;
  readonly signal: AbortSignal;
}

/** Contents first, then changes, until the signal is aborted. */
export async function* watchRecords(options: WatchOptions): AsyncGenerator<SoftStateChange, void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const view = new SoftStateView();
  const changed = new Wakeup(signal);
  const missed = new Wakeup(signal);
  const unobserve = options.store.observe(options.pattern, {
    changed: (version) => {
      view.observe(version);
      changed.wake();
    },
    missed: () => missed.wake(),
  });
  const reading = keepReading({ ...options, signal }, { view, missed, changed });
  try {
    while (!signal.aborted) {
      const change = view.take();
      if (change === undefined) await changed.wait();
      else yield change;
    }
  } finally {
    unobserve();
    stop.abort();
    await reading;
  }
}

/** A reading that fails is made up for by the next, which a reconnection brings forward. */
async function keepReading(
  { store, pattern, clock, rereadMs, signal }: WatchOptions,
  { view, missed, changed }: { view: SoftStateView; missed: Wakeup; changed: Wakeup },
): Promise<void> {
  while (!signal.aborted) {
    const before = view.keys();
    try {
      view.replace(await store.readAll(pattern), before);
      changed.wake();
    } catch {
      // Nothing is known about the contents, so nothing is said about them.
    }
    const timer = clock.setTimer(rereadMs, () => missed.wake());
    await missed.wait();
    timer.cancel();
  }
}

/** A bell that remembers having been rung while nobody waited. */
class Wakeup {
  readonly #signal: AbortSignal;
  #isRung = false;
  #ring: (() => void) | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.wake(), { once: true });
  }

  wake(): void {
    this.#isRung = true;
    this.#ring?.();
  }

  async wait(): Promise<void> {
    if (!this.#isRung && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#ring = resolve;
      });
    }
    this.#isRung = false;
    this.#ring = undefined;
  }
}

import type { Clock } from '@nexodus/clock';

/** Wakes one waiter. A ring while nobody waits is remembered, so that none is lost. */
export class Bell {
  #isRung = false;
  #wake: (() => void) | undefined;

  /** Wakes the waiter, or lets the next wait return at once. */
  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  /** Resolves at the next ring, or after `timeoutMs`. One caller at a time. */
  async wait(clock: Clock, timeoutMs = Infinity): Promise<void> {
    if (!this.#isRung) {
      const rung = Promise.withResolvers<void>();
      this.#wake = rung.resolve;
      const timer = Number.isFinite(timeoutMs)
        ? clock.setTimer(timeoutMs, rung.resolve)
        : undefined;
      await rung.promise;
      timer?.cancel();
    }
    this.#isRung = false;
    this.#wake = undefined;
  }
}

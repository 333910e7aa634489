import type { Clock, Timer } from './clock.ts';

interface PendingTimer {
  at: number;
  order: number;
  fire: () => void;
}

/** A clock that stands still until it is moved: for tests and simulations. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #pending = new Set<PendingTimer>();

  /** @param startAt milliseconds since the Unix epoch */
  constructor(startAt = 0) {
    this.#now = startAt;
  }

  now(): number {
    return this.#now;
  }

  monotonicMs(): number {
    return this.#now;
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const timer: PendingTimer = {
      at: this.#now + Math.max(0, delayMs),
      order: this.#order++,
      fire,
    };
    this.#pending.add(timer);
    return { cancel: () => this.#pending.delete(timer) };
  }

  wait(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const finish = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = this.setTimer(delayMs, finish);
      signal?.addEventListener('abort', finish, { once: true });
    });
  }

  /** Moves time forward and fires what falls due, in order of time and then of setting. */
  advance(ms: number): void {
    const target = this.#now + ms;
    for (let next = this.#nextDue(target); next !== undefined; next = this.#nextDue(target)) {
      this.#pending.delete(next);
      this.#now = next.at;
      next.fire();
    }
    this.#now = target;
  }

  /** Number of timers that wait. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  #nextDue(target: number): PendingTimer | undefined {
    let best: PendingTimer | undefined;
    for (const timer of this.#pending) {
      if (timer.at > target) continue;
      if (
        best === undefined ||
        timer.at < best.at ||
        (timer.at === best.at && timer.order < best.order)
      )
        best = timer;
    }
    return best;
  }
}

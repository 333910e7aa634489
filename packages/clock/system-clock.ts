import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from './clock.ts';

/** The machine's clock. Unlike a timer, a wait keeps the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, fire) {
    const handle = setTimeout(fire, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  // The only rejection of this delay is the abort, which ends the wait without an error.
  wait: (delayMs, signal) => delay(delayMs, undefined, { signal }).catch(() => {}),
};

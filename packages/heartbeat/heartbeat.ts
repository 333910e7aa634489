import type { Clock, Timer } from '@nexodus/clock';
import type { Part } from '@nexodus/lifecycle';

/** How much an interval may differ from the middle, so that instances started together drift apart. */
const JITTER = 0.1;

/** What beats, and when. */
export interface HeartbeatOptions {
  /** Name of the part, for logs. */
  readonly name: string;
  readonly clock: Clock;
  /** A number from 0 up to 1, such as `Math.random`. */
  readonly random: () => number;
  /** Middle of the time between two beats; each differs by up to a tenth. */
  readonly intervalMs: number;
  /** Called at the start and after each interval. It must not throw. */
  readonly beat: () => void;
}

/** A part that beats from its start to its stop. */
export function createHeartbeat({ name, clock, random, intervalMs, beat }: HeartbeatOptions): Part {
  let timer: Timer | undefined;
  const beatAndGoOn = (): void => {
    beat();
    const factor = 1 + JITTER * (2 * random() - 1);
    timer = clock.setTimer(intervalMs * factor, beatAndGoOn);
  };
  return {
    name,
    start: () => Promise.resolve(beatAndGoOn()),
    stop: () => Promise.resolve(timer?.cancel()),
  };
}

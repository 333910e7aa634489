/** Timers of the control session (docs/protocol/agent.md), in milliseconds. */

/** Interval of heartbeats. The protocol asks for 10 s; the difference is room for timers and the way. */
export const HEARTBEAT_INTERVAL_MS = 9_000;

/** A stream on which nothing was heard for this long is ended. */
export const SILENCE_LIMIT_MS = 30_000;

/** Soft state is sent again after this time even if it did not change. */
export const STATE_INTERVAL_MS = 60_000;

/** Cap of the first pause before a reconnect. It doubles with each attempt. */
const FIRST_PAUSE_MS = 200;

/** Cap of any pause: a service that comes back sees all its agents within this time, spread evenly. */
const LONGEST_PAUSE_MS = 15_000;

/** A stream that lived this long makes the next pause short again. */
export const STABLE_AFTER_MS = 30_000;

/** Pause before attempt `attempt` (0 for the first one): full jitter, uniform between 0 and the cap. */
export function reconnectPauseMs(attempt: number, random: number): number {
  const cap = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 16));
  return Math.floor(random * cap);
}

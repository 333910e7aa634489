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

/** The first pause after a service that drains: all streams of a replica end at once, and meet the others spread. */
export const DRAINED_PAUSE_MS = 5_000;

/** Shortest pause of a session that a newer one of the same keys ended; as long again is added at random. */
export const SUPERSEDED_PAUSE_MS = 30_000;

/** A session that is superseded twice within this time stays off: the other one comes back as well. */
export const SUPERSEDED_AGAIN_MS = 300_000;

/** A stream that lived this long makes the next pause short again. */
export const STABLE_AFTER_MS = 30_000;

/** Pause before attempt `attempt` (0 for the first one): full jitter, uniform between 0 and the cap. */
export function reconnectPauseMs(
  attempt: number,
  random: number,
  firstMs = FIRST_PAUSE_MS,
): number {
  const cap = Math.min(LONGEST_PAUSE_MS, firstMs * 2 ** Math.min(attempt, 16));
  return Math.floor(random * cap);
}

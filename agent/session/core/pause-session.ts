import type { Session, SessionInstant, SessionStep } from './session-state.ts';
import {
  DRAINED_PAUSE_MS,
  reconnectPauseMs,
  STABLE_AFTER_MS,
  SUPERSEDED_AGAIN_MS,
  SUPERSEDED_PAUSE_MS,
} from './session-timing.ts';

/** A step without effects. */
export function still(session: Session): SessionStep {
  return { session, effects: [] };
}

/** What a pause is like; by default it may end at once and has the usual cap. */
interface PauseWish {
  /** Not even a network change ends the pause before this time has passed. */
  readonly atLeastMs?: number;
  /** Cap of the pause after a stream that was stable. */
  readonly firstMs?: number;
}

/** Begins a pause; the stream is gone or is closed by the caller. */
export function pause(
  session: Session,
  { nowMs, random }: SessionInstant,
  { atLeastMs = 0, firstMs }: PauseWish = {},
): Session {
  const { state } = session;
  const attempts = state.kind === 'opening' || state.kind === 'live' ? state.attempt : 0;
  const isStable = state.kind === 'live' && nowMs - state.sinceMs >= STABLE_AFTER_MS;
  const attempt = isStable ? 0 : attempts;
  const notBeforeMs = nowMs + atLeastMs;
  const untilMs = notBeforeMs + reconnectPauseMs(attempt, random, firstMs);
  return { ...session, state: { kind: 'waiting', attempt: attempt + 1, notBeforeMs, untilMs } };
}

/** Closes the stream and begins a pause. `reason` is for the log. */
export function giveUpStream(
  session: Session,
  reason: string,
  instant: SessionInstant,
): SessionStep {
  return { session: pause(session, instant), effects: [{ kind: 'close', reason }] };
}

/** The service ends all streams of a replica: its devices come back spread over a longer first pause. */
export function leaveDraining(session: Session, instant: SessionInstant): SessionStep {
  return {
    session: pause(session, instant, { firstMs: DRAINED_PAUSE_MS }),
    effects: [{ kind: 'close', reason: 'the service drains' }],
  };
}

/**
 * A newer stream of this device took over. It may be a late one of our own, which nobody listens to: the session comes
 * back after a while, once. Undefined where it did so before and was superseded again: another nexd has the keys.
 */
export function yieldOnce(
  session: Session,
  { nowMs, random }: SessionInstant,
): SessionStep | undefined {
  const { supersededAtMs } = session;
  if (supersededAtMs !== undefined && nowMs - supersededAtMs < SUPERSEDED_AGAIN_MS) {
    return undefined;
  }
  const notBeforeMs = nowMs + SUPERSEDED_PAUSE_MS;
  const untilMs = notBeforeMs + Math.floor(random * SUPERSEDED_PAUSE_MS);
  return {
    session: {
      ...session,
      supersededAtMs: nowMs,
      state: { kind: 'waiting', attempt: 0, notBeforeMs, untilMs },
    },
    effects: [{ kind: 'close', reason: 'superseded' }, { kind: 'superseded' }],
  };
}

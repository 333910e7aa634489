import type { Session, SessionInstant, SessionStep } from './session-state.ts';
import { reconnectPauseMs, STABLE_AFTER_MS } from './session-timing.ts';

/** A step without effects. */
export function still(session: Session): SessionStep {
  return { session, effects: [] };
}

/** Begins a pause; the stream is gone or is closed by the caller. */
export function pause(session: Session, { nowMs, random }: SessionInstant, atLeastMs = 0): Session {
  const { state } = session;
  const attempts = state.kind === 'opening' || state.kind === 'live' ? state.attempt : 0;
  const isStable = state.kind === 'live' && nowMs - state.sinceMs >= STABLE_AFTER_MS;
  const attempt = isStable ? 0 : attempts;
  const untilMs = nowMs + atLeastMs + reconnectPauseMs(attempt, random);
  return { ...session, state: { kind: 'waiting', attempt: attempt + 1, untilMs } };
}

/** Closes the stream and begins a pause. `reason` is for the log. */
export function giveUpStream(
  session: Session,
  reason: string,
  instant: SessionInstant,
): SessionStep {
  return { session: pause(session, instant), effects: [{ kind: 'close', reason }] };
}

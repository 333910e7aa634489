import type { ViewInterval } from '@nexodus/contracts/agent';
import { applyBookmark, applyInterval, ViewGap } from '@nexodus/network-map';
import { giveUpStream, still } from './pause-session.ts';
import type { LiveSession, Session, SessionInstant, SessionStep } from './session-state.ts';

/** Frames that one interval may have: a service that announces more would fill the memory of the device. */
const MAX_FRAMES = 4_096;

/** Moves the view to a bookmark; 0 and older ones say nothing. */
export function bookmark(session: Session, revision: bigint): SessionStep {
  const { view } = session;
  if (view === undefined || revision <= view.revision) return still(session);
  const next = applyBookmark(view, revision);
  return {
    session: { ...session, view: next },
    effects: [{ kind: 'view', view: next, traceparent: '' }],
  };
}

/** An interval is announced. */
export function beginInterval(
  session: Session,
  state: LiveSession,
  interval: ViewInterval,
  instant: SessionInstant,
): SessionStep {
  if (state.partial !== undefined) return resynchronise(session, 'frames are missing', instant);
  if (interval.frames > MAX_FRAMES) return resynchronise(session, 'too many frames', instant);
  if (interval.frames > 0) {
    return still({ ...session, state: { ...state, partial: { interval, frames: [] } } });
  }
  return completeInterval(session, { interval, frames: [] }, instant);
}

/** A frame of the announced interval; the last one completes it. */
export function continueInterval(
  session: Session,
  state: LiveSession,
  frame: NonNullable<LiveSession['partial']>['frames'][number],
  instant: SessionInstant,
): SessionStep {
  if (state.partial === undefined) {
    return resynchronise(session, 'entries came without an interval', instant);
  }
  const partial = { ...state.partial, frames: [...state.partial.frames, frame] };
  if (partial.frames.length < partial.interval.frames) {
    return still({ ...session, state: { ...state, partial } });
  }
  const rest = { ...session, state: { ...state, partial: undefined } };
  return completeInterval(rest, partial, instant);
}

function completeInterval(
  session: Session,
  { interval, frames }: NonNullable<LiveSession['partial']>,
  instant: SessionInstant,
): SessionStep {
  try {
    const view = applyInterval(session.view, interval, frames);
    return {
      session: { ...session, view, isSnapshotWanted: false },
      effects: [{ kind: 'view', view, traceparent: interval.traceparent }],
    };
  } catch (error) {
    if (error instanceof ViewGap) return resynchronise(session, error.message, instant);
    throw error;
  }
}

function resynchronise(session: Session, reason: string, instant: SessionInstant): SessionStep {
  return giveUpStream({ ...session, isSnapshotWanted: true }, reason, instant);
}

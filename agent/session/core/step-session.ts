/**
 * The control session of a device: one stream to the service, kept alive, resumed, and ended when the service says so.
 *
 * `stepSession` is the only place that changes the state. It does nothing by itself: what shall happen comes out as
 * effects, and time comes in; the shell (control-session.ts) keeps the timer that `nextWakeAtMs` names.
 */
import { GoodbyeReason } from '@nexodus/contracts/agent';
import type { View } from '@nexodus/network-map';
import { CAPABILITY } from './capability.ts';
import { beginInterval, bookmark, continueInterval } from './follow-view.ts';
import { giveUpStream, leaveDraining, pause, still, yieldOnce } from './pause-session.ts';
import {
  heartbeat,
  type LiveSession,
  type Session,
  type SessionEffect,
  type SessionEnd,
  type SessionEvent,
  type SessionInstant,
  type SessionStep,
} from './session-state.ts';
import { HEARTBEAT_INTERVAL_MS, SILENCE_LIMIT_MS, STATE_INTERVAL_MS } from './session-timing.ts';

/** How an agent presents itself in Hello. */
export interface AgentDescription {
  readonly version: string;
  readonly os: string;
}

/** A session before its start, with the view that was kept from an earlier run. */
export function createSession(view: View | undefined): Session {
  return {
    state: { kind: 'idle' },
    view,
    isSnapshotWanted: false,
    endpoints: [],
    relays: { homeRelayId: '', relayLatencies: [] },
    supersededAtMs: undefined,
  };
}

/** When `wake` is due, on the monotonic clock; undefined while nothing is. */
export function nextWakeAtMs({ state }: Session): number | undefined {
  switch (state.kind) {
    case 'waiting':
      return state.untilMs;
    case 'opening':
      return state.sinceMs + SILENCE_LIMIT_MS;
    case 'live':
      return Math.min(
        state.heardAtMs + SILENCE_LIMIT_MS,
        state.heartbeatAtMs + HEARTBEAT_INTERVAL_MS,
        state.stateSentAtMs + STATE_INTERVAL_MS,
      );
    default:
      return undefined;
  }
}

/** Takes one step. Never throws. */
export function stepSession(
  session: Session,
  event: SessionEvent,
  instant: SessionInstant,
  agent: AgentDescription,
): SessionStep {
  if (session.state.kind === 'ended') return { session, effects: [] };
  switch (event.kind) {
    case 'start':
      return session.state.kind === 'idle' ? open(session, 0, instant, agent) : still(session);
    case 'stop':
      return end(session, 'stopped');
    case 'wake':
    case 'network-changed':
      return wake(session, event.kind, instant, agent);
    case 'closed':
      return closed(session, event, instant);
    case 'received':
      return receive(session, event.message, instant);
    case 'applied':
      return sendWhenLive(session, {
        $case: 'applied',
        value: {
          revision: event.revision,
          viewDigest: Buffer.from(event.digest),
          problem: event.problem,
        },
      });
    case 'endpoints':
      return sendState({ ...session, endpoints: event.endpoints }, instant);
    case 'relays':
      return sendState({ ...session, relays: event.relays }, instant);
    case 'paths':
      return sendWhenLive(session, { $case: 'pathReport', value: { paths: [...event.paths] } });
  }
}

function open(
  session: Session,
  attempt: number,
  { nowMs }: SessionInstant,
  agent: AgentDescription,
): SessionStep {
  const view = session.isSnapshotWanted ? undefined : session.view;
  const hello = {
    capability: CAPABILITY,
    vpcId: view?.vpcId ?? '',
    logIncarnation: view?.logIncarnation ?? '',
    appliedRevision: view?.revision ?? 0n,
    viewDigest: Buffer.from(view?.digest.toBytes() ?? []),
    agentVersion: agent.version,
    os: agent.os,
  };
  return {
    session: { ...session, state: { kind: 'opening', attempt, sinceMs: nowMs } },
    effects: [{ kind: 'open', hello }],
  };
}

function end(session: Session, reason: SessionEnd): SessionStep {
  const isOpen = session.state.kind === 'opening' || session.state.kind === 'live';
  const close: SessionEffect[] = isOpen ? [{ kind: 'close', reason }] : [];
  return {
    session: { ...session, state: { kind: 'ended', reason } },
    effects: [...close, { kind: 'ended', reason }],
  };
}

function closed(
  session: Session,
  event: Extract<SessionEvent, { kind: 'closed' }>,
  instant: SessionInstant,
): SessionStep {
  if (event.end !== undefined) {
    return {
      session: { ...session, state: { kind: 'ended', reason: event.end } },
      effects: [{ kind: 'ended', reason: event.end }],
    };
  }
  const wasOpen = session.state.kind === 'opening' || session.state.kind === 'live';
  return still(wasOpen ? pause(session, instant, { atLeastMs: event.retryAfterMs }) : session);
}

function wake(
  session: Session,
  cause: 'wake' | 'network-changed',
  instant: SessionInstant,
  agent: AgentDescription,
): SessionStep {
  const { state } = session;
  const { nowMs } = instant;
  if (state.kind === 'waiting') {
    const isDue = nowMs >= (cause === 'network-changed' ? state.notBeforeMs : state.untilMs);
    return isDue ? open(session, state.attempt, instant, agent) : still(session);
  }
  if (state.kind === 'opening') {
    const isLate = nowMs - state.sinceMs >= SILENCE_LIMIT_MS;
    return isLate ? giveUpStream(session, 'the service does not answer', instant) : still(session);
  }
  if (state.kind !== 'live') return still(session);
  if (nowMs - state.heardAtMs >= SILENCE_LIMIT_MS) {
    return giveUpStream(session, 'the service is silent', instant);
  }
  return keepAlive(session, state, nowMs);
}

function keepAlive(session: Session, state: LiveSession, nowMs: number): SessionStep {
  const effects: SessionEffect[] = [];
  let next = state;
  if (nowMs - state.heartbeatAtMs >= HEARTBEAT_INTERVAL_MS) {
    effects.push({ kind: 'send', message: heartbeat });
    next = { ...next, heartbeatAtMs: nowMs };
  }
  if (nowMs - state.stateSentAtMs >= STATE_INTERVAL_MS) {
    effects.push(softState(session, next.sequence + 1n));
    next = { ...next, stateSentAtMs: nowMs, sequence: next.sequence + 1n };
  }
  return { session: { ...session, state: next }, effects };
}

function softState({ endpoints, relays }: Session, sequence: bigint): SessionEffect {
  const value = {
    sequence,
    endpoints: [...endpoints],
    homeRelayId: relays.homeRelayId,
    relayLatencies: [...relays.relayLatencies],
  };
  return { kind: 'send', message: { $case: 'localState', value } };
}

function sendState(session: Session, { nowMs }: SessionInstant): SessionStep {
  const { state } = session;
  if (state.kind !== 'live') return still(session);
  const sequence = state.sequence + 1n;
  const next = { ...state, sequence, stateSentAtMs: nowMs };
  return { session: { ...session, state: next }, effects: [softState(session, sequence)] };
}

function sendWhenLive(
  session: Session,
  message: Extract<SessionEffect, { kind: 'send' }>['message'],
): SessionStep {
  const effects: SessionEffect[] = session.state.kind === 'live' ? [{ kind: 'send', message }] : [];
  return { session, effects };
}

function receive(
  session: Session,
  message: Extract<SessionEvent, { kind: 'received' }>['message'],
  instant: SessionInstant,
): SessionStep {
  const { state } = session;
  if (message?.$case === 'goodbye') return goodbye(session, message.value.reason, instant);
  if (state.kind === 'opening') {
    if (message?.$case !== 'welcome') {
      return giveUpStream(session, 'the service did not begin with Welcome', instant);
    }
    const { serverTimeMs, leaseSeconds } = message.value;
    return welcome(session, { serverTimeMs, leaseSeconds, attempt: state.attempt }, instant);
  }
  if (state.kind !== 'live') return still(session);
  const heard = { ...state, heardAtMs: instant.nowMs };
  return heed({ ...session, state: heard }, heard, message, instant);
}

function welcome(
  session: Session,
  told: { serverTimeMs: bigint; leaseSeconds: number; attempt: number },
  { nowMs }: SessionInstant,
): SessionStep {
  const live: LiveSession = {
    kind: 'live',
    attempt: told.attempt,
    sinceMs: nowMs,
    heardAtMs: nowMs,
    heartbeatAtMs: nowMs,
    stateSentAtMs: nowMs,
    sequence: 1n,
    partial: undefined,
  };
  const time: SessionEffect = {
    kind: 'server-time',
    serverTimeMs: Number(told.serverTimeMs),
    leaseMs: told.leaseSeconds * 1000,
  };
  return { session: { ...session, state: live }, effects: [time, softState(session, 1n)] };
}

/** A message on a live stream. */
function heed(
  session: Session,
  state: LiveSession,
  message: Extract<SessionEvent, { kind: 'received' }>['message'],
  instant: SessionInstant,
): SessionStep {
  switch (message?.$case) {
    case 'viewInterval':
      return beginInterval(session, state, message.value, instant);
    case 'viewEntries':
      return continueInterval(session, state, message.value, instant);
    case 'peerStates':
      return { session, effects: [{ kind: 'peer-states', states: message.value.states }] };
    case 'reachabilityMap':
      return { session, effects: [{ kind: 'reachability', map: message.value }] };
    case 'heartbeat': {
      const { serverTimeMs, revision } = message.value;
      const time: SessionEffect = { kind: 'server-time', serverTimeMs: Number(serverTimeMs) };
      return withEffect(time, bookmark(session, revision));
    }
    default:
      return still(session);
  }
}

function withEffect(effect: SessionEffect, step: SessionStep): SessionStep {
  return { session: step.session, effects: [effect, ...step.effects] };
}

function goodbye(session: Session, reason: GoodbyeReason, instant: SessionInstant): SessionStep {
  switch (reason) {
    case GoodbyeReason.SUPERSEDED:
      return yieldOnce(session, instant) ?? end(session, 'superseded');
    case GoodbyeReason.DRAINING:
      return leaveDraining(session, instant);
    case GoodbyeReason.DEVICE_DELETED:
      return end(session, 'device-deleted');
    case GoodbyeReason.DEVICE_EXPIRED:
      return end(session, 'device-expired');
    default:
      return giveUpStream(session, 'the service ends the stream', instant);
  }
}

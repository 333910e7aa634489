/**
 * The shell of the control session: it opens streams, keeps the timer, and carries messages between the service and
 * `stepSession`, which decides everything.
 */
import type { AgentServiceDefinition, ConnectRequest } from '@nexodus/contracts/agent';
import type { Clock, Timer } from '@nexodus/clock';
import type { View } from '@nexodus/network-map';
import { RpcError, type RpcClient, Status } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import type { Session, SessionEffect, SessionEvent, SessionState } from './core/session-state.ts';
import {
  type AgentDescription,
  createSession,
  nextWakeAtMs,
  stepSession,
} from './core/step-session.ts';
import { createOutbox, type Outbox } from './outbox.ts';

/** What the session tells its owner. Calls come one after the other and must not throw. */
export type SessionListener = (
  effect: Exclude<SessionEffect, { kind: 'open' | 'send' | 'close' }>,
) => void;

/** What a session needs. */
export interface ControlSessionOptions {
  /** Client whose calls carry token and proof. */
  readonly client: Pick<RpcClient<AgentServiceDefinition>, 'connect'>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly agent: AgentDescription;
  /** View kept from an earlier run. */
  readonly view: View | undefined;
  readonly onEffect: SessionListener;
  /** The stream is up or down. `failure` is why it is down, where something failed. */
  readonly onState: (state: SessionState['kind'], failure: RpcError | undefined) => void;
  /** The service refused the credentials of a stream. */
  readonly onUnauthenticated: () => void;
}

/** A session that runs, or will. */
export interface ControlSession {
  start(): void;
  /** Tells the session of something that only its owner knows. */
  tell(
    event: Extract<
      SessionEvent,
      { kind: 'applied' | 'endpoints' | 'relays' | 'paths' | 'network-changed' }
    >,
  ): void;
  /** Ends the stream and all attempts; idempotent. */
  stop(): void;
}

interface OpenStream {
  readonly outbox: Outbox<ConnectRequest>;
  readonly abort: AbortController;
}

/** Makes a session; it does nothing before `start`. */
export function createControlSession(options: ControlSessionOptions): ControlSession {
  const { clock } = options;
  let session: Session = createSession(options.view);
  let stream: OpenStream | undefined;
  let timer: Timer | undefined;
  let failure: RpcError | undefined;

  const handle = (event: SessionEvent): void => {
    const before = session.state.kind;
    const instant = { nowMs: clock.monotonicMs(), random: options.random() };
    const step = stepSession(session, event, instant, options.agent);
    session = step.session;
    for (const effect of step.effects) perform(effect);
    if (session.state.kind === 'live') failure = undefined;
    if (session.state.kind !== before) options.onState(session.state.kind, failure);
    setTimer();
  };

  const perform = (effect: SessionEffect): void => {
    switch (effect.kind) {
      case 'open':
        stream = openStream(options, effect.hello, { onEvent: handleOf, onFailure });
        return;
      case 'send':
        if (stream?.outbox.push({ message: effect.message }) === false) stream.abort.abort();
        return;
      case 'close':
        options.logger.debug({ reason: effect.reason }, 'stream closed by the agent');
        closeStream();
        return;
      default:
        options.onEffect(effect);
    }
  };

  /** Events of a stream that is no longer the present one are late, and mean nothing. */
  const handleOf = (source: OpenStream, event: SessionEvent): void => {
    if (source !== stream) return;
    if (event.kind === 'closed') stream = undefined;
    handle(event);
  };

  const onFailure = (source: OpenStream, error: RpcError): void => {
    if (source !== stream) return;
    failure = error;
    if (error.code === Status.UNAUTHENTICATED) options.onUnauthenticated();
  };

  const closeStream = (): void => {
    const closing = stream;
    stream = undefined;
    closing?.outbox.end();
    closing?.abort.abort();
  };

  const setTimer = (): void => {
    timer?.cancel();
    const atMs = nextWakeAtMs(session);
    if (atMs === undefined) return;
    timer = clock.setTimer(Math.max(0, atMs - clock.monotonicMs()), () => handle({ kind: 'wake' }));
  };

  return {
    start: () => handle({ kind: 'start' }),
    tell: handle,
    stop: () => handle({ kind: 'stop' }),
  };
}

interface StreamListener {
  onEvent: (source: OpenStream, event: SessionEvent) => void;
  onFailure: (source: OpenStream, error: RpcError) => void;
}

function openStream(
  options: ControlSessionOptions,
  hello: Extract<SessionEffect, { kind: 'open' }>['hello'],
  listener: StreamListener,
): OpenStream {
  const stream: OpenStream = { outbox: createOutbox(), abort: new AbortController() };
  stream.outbox.push({ message: { $case: 'hello', value: hello } });
  void readStream(options, stream, listener);
  return stream;
}

/** Reads to the end of the stream; whatever happens ends in one `closed`. */
async function readStream(
  { client, logger }: ControlSessionOptions,
  stream: OpenStream,
  { onEvent, onFailure }: StreamListener,
): Promise<void> {
  let closed: SessionEvent = { kind: 'closed' };
  try {
    const { signal } = stream.abort;
    for await (const { message } of client.connect(stream.outbox, { signal })) {
      onEvent(stream, { kind: 'received', message });
    }
  } catch (error) {
    if (error instanceof RpcError) {
      logger.debug({ code: error.code, reason: error.details.reason }, 'stream failed');
      onFailure(stream, error);
      closed = closedBy(error);
    } else if (!stream.abort.signal.aborted) {
      logger.error({ error }, 'stream failed unexpectedly');
    }
  } finally {
    stream.outbox.end();
    onEvent(stream, closed);
  }
}

function closedBy(error: RpcError): SessionEvent {
  const { reason, retryAfterMs } = error.details;
  const isRefused = error.code === Status.UNAUTHENTICATED;
  if (isRefused && reason === 'DEVICE_DELETED') return { kind: 'closed', end: 'device-deleted' };
  if (isRefused && reason === 'DEVICE_EXPIRED') return { kind: 'closed', end: 'device-expired' };
  return { kind: 'closed', retryAfterMs };
}

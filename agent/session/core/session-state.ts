import type {
  AgentHeartbeat,
  ConnectRequest,
  ConnectResponse,
  Hello,
  PeerPath,
  PeerState,
  ReachabilityMap,
  ViewEntries,
  ViewInterval,
} from '@nexodus/contracts/agent';
import type { Endpoint, RelayLatency } from '@nexodus/contracts/type';
import type { View } from '@nexodus/network-map';

/**
 * Where the control session stands. `idle`: not started; `waiting` until `untilMs` before the next attempt; `opening`: a
 * stream is asked for and Welcome has not come; `live`; `ended` for good. Instants are on the monotonic clock.
 */
export type SessionState =
  | { readonly kind: 'idle' }
  | {
      readonly kind: 'waiting';
      readonly attempt: number;
      /** A network change ends the pause, but not before this. */
      readonly notBeforeMs: number;
      readonly untilMs: number;
    }
  | { readonly kind: 'opening'; readonly attempt: number; readonly sinceMs: number }
  | LiveSession
  | { readonly kind: 'ended'; readonly reason: SessionEnd };

/** A stream on which Welcome has come. */
export interface LiveSession {
  readonly kind: 'live';
  readonly attempt: number;
  readonly sinceMs: number;
  /** When the service was last heard. */
  readonly heardAtMs: number;
  readonly heartbeatAtMs: number;
  /** When soft state was last sent. */
  readonly stateSentAtMs: number;
  readonly sequence: bigint;
  /** An interval whose frames have not all come. */
  readonly partial:
    | { readonly interval: ViewInterval; readonly frames: readonly ViewEntries[] }
    | undefined;
}

/** Why no further stream is opened. */
export type SessionEnd = 'stopped' | 'superseded' | 'device-deleted' | 'device-expired';

/** What the device says of relays (LocalState). */
export interface RelayState {
  /** Empty: none. */
  readonly homeRelayId: string;
  readonly relayLatencies: readonly RelayLatency[];
}

/** A session with what it carries from stream to stream. */
export interface Session {
  readonly state: SessionState;
  readonly view: View | undefined;
  /** Hello says that no view is held: after intervals that did not join. */
  readonly isSnapshotWanted: boolean;
  readonly endpoints: readonly Endpoint[];
  readonly relays: RelayState;
  /** When a newer session of the same keys last ended this one. */
  readonly supersededAtMs: number | undefined;
}

/** What a session is told. */
export type SessionEvent =
  | { readonly kind: 'start' }
  | { readonly kind: 'stop' }
  /** Time has come: see `nextWakeAtMs`. */
  | { readonly kind: 'wake' }
  /** The network changed: wait for the end of a pause only where it was asked for. */
  | { readonly kind: 'network-changed' }
  | { readonly kind: 'received'; readonly message: ConnectResponse['message'] }
  | {
      readonly kind: 'closed';
      readonly end?: 'device-deleted' | 'device-expired';
      readonly retryAfterMs?: number;
    }
  /** The tunnel follows the view of this revision and digest. */
  | {
      readonly kind: 'applied';
      readonly revision: bigint;
      readonly digest: Uint8Array;
      readonly problem: string;
    }
  | { readonly kind: 'endpoints'; readonly endpoints: readonly Endpoint[] }
  | { readonly kind: 'relays'; readonly relays: RelayState }
  | { readonly kind: 'paths'; readonly paths: readonly PeerPath[] };

/** What a session wants done, in order. */
export type SessionEffect =
  | { readonly kind: 'open'; readonly hello: Hello }
  | { readonly kind: 'send'; readonly message: NonNullable<ConnectRequest['message']> }
  | { readonly kind: 'close'; readonly reason: string }
  /** The view changed: put it in force and answer with `applied`. */
  | { readonly kind: 'view'; readonly view: View; readonly traceparent: string }
  | { readonly kind: 'peer-states'; readonly states: readonly PeerState[] }
  | { readonly kind: 'reachability'; readonly map: ReachabilityMap }
  | { readonly kind: 'server-time'; readonly serverTimeMs: number; readonly leaseMs?: number }
  /** A newer session of the same keys ended this one, which comes back once. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'ended'; readonly reason: SessionEnd };

/** What a step may read of the world. */
export interface SessionInstant {
  readonly nowMs: number;
  /** Uniform in [0, 1): for the jitter of a pause that may begin in this step. */
  readonly random: number;
}

/** Outcome of a step. */
export interface SessionStep {
  readonly session: Session;
  readonly effects: readonly SessionEffect[];
}

/** The message that says nothing but that the device is alive. */
export const heartbeat: { $case: 'heartbeat'; value: AgentHeartbeat } = {
  $case: 'heartbeat',
  value: {},
};

/**
 * The network map: who sees whom, told to every device that has a stream here.
 *
 * From the change log to a device: `LogFollower` reads the logs of all VPCs; a `VpcTracker` turns the changes of one VPC
 * into changes of views, with policy's answer; an `AgentSession` tells its device. Beside it runs soft state: a
 * `SessionAnnouncer` writes where a device is, `Presence` hears of all of them. Rules: docs/protocol/agent.md.
 */
import type { Clock } from '@nexodus/clock';
import type { ReachabilityMap } from '@nexodus/contracts/agent';
import type { Endpoint } from '@nexodus/contracts/type';
import type { ChangeServiceImplementation } from '@nexodus/contracts/event';
import type { PolicyServiceDefinition } from '@nexodus/contracts/policy';
import type { Database } from '@nexodus/database';
import type { Part } from '@nexodus/lifecycle';
import type { MessageBus, SoftStateStore } from '@nexodus/messaging';
import type { RpcClient, ServiceIdentity } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { type Meter, metrics as meters } from '@opentelemetry/api';
import type { ChangeLog } from '../database/change-log.ts';
import { AgentSessions } from './agent-sessions.ts';
import { createChangeService } from './change-service.ts';
import { type ConnectHandler, createConnect } from './connect.ts';
import { LogFollower } from './log-follower.ts';
import { createNetworkMapMetrics, type NetworkMapMetrics } from './network-map-metrics.ts';
import { createPostgresSessionStore } from './postgres-session-store.ts';
import { Presence } from './presence.ts';
import { SessionNotebook } from './session-notebook.ts';
import type { VpcTracker } from './vpc-tracker.ts';
import { VpcTrackers } from './vpc-trackers.ts';

/** Settings of the network map. Durations in milliseconds unless they say otherwise. */
export interface NetworkMapSettings {
  /** How long a device may use its last view without the service. Default 86,400 (a day). */
  readonly leaseSeconds?: number;
  /** Time between two looks at the heads of all logs, which make up for lost doorbells. Default 1,000. */
  readonly pollMs?: number;
  /** Time between two heartbeats on a stream. Default 5,000; the protocol allows 10,000. */
  readonly heartbeatMs?: number;
  /** A stream that says nothing for so long is over. Default 30,000. */
  readonly silenceMs?: number;
  /** What comes within this time after an interval goes into the next one. Default 25; the protocol allows 250. */
  readonly coalesceMs?: number;
  /** Entries that may wait for one stream before it gets a snapshot. Default 4,096. */
  readonly maxEntries?: number;
  /** Time between two writings of what devices applied. Default 5,000. */
  readonly notesMs?: number;
}

/** What the network map is made of. */
export interface NetworkMapOptions {
  readonly database: Database;
  readonly changeLog: ChangeLog;
  readonly policy: Pick<RpcClient<typeof PolicyServiceDefinition>, 'compile'>;
  readonly bus: MessageBus;
  readonly softState: SoftStateStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The relays and STUN servers that devices are told of; `reachabilityChanged` says that there are others. */
  readonly reachability: () => ReachabilityMap | undefined;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly settings: NetworkMapSettings;
  /** Default: that of the process. */
  readonly meter?: Meter;
}

/** What is known of a device besides its row. */
export interface DeviceSoftState {
  /** Whether it has a stream to any replica. */
  readonly isOnline: boolean;
  /** Where it may be reached, best first. */
  readonly endpoints: readonly Endpoint[];
}

/** The network map of one replica. */
export interface NetworkMap {
  /** To be started in this order, after the schema and before the servers. */
  readonly parts: readonly Part[];
  /**
   * To be started after the public server, so that it stops first: its stop says Goodbye DRAINING to all agents and
   * waits at most 1.5 s for them to take it in.
   */
  readonly drainPart: Part;
  /** The handler of AgentService.Connect, for callers that were authenticated as devices. */
  readonly connect: ConnectHandler;
  /** The handlers of nexodus.event.v1.ChangeService. */
  readonly changeService: ChangeServiceImplementation<{ identity: ServiceIdentity }>;
  /** Follows one VPC for somebody who is none of its devices. */
  readonly followVpc: (vpcId: string) => Promise<VpcTracker>;
  /** Tells all devices of the relays and STUN servers there are now. */
  reachabilityChanged(): void;
  /** Whether the device has a stream to any replica, as far as this one has heard. */
  isOnline(vpcId: string, deviceId: string): boolean;
  /** Soft state of a device, as far as this replica has heard. */
  deviceState(vpcId: string, deviceId: string): DeviceSoftState;
}

/** The lease of a session: what all replicas need to renew after an outage of the store. */
const SWEEP_GRACE_MS = 90_000;

const SWEEP_MS = 30_000;

const HEARTBEAT_MS = 5_000;

/** Changes that may wait for one reader of ChangeService. */
const MAX_WATCH_WAITING = 4_096;

/** Soft state of peers goes out together when it changes within this time. */
const PEER_STATES_MS = 50;

/** Builds the network map; nothing is started by it. */
export function createNetworkMap(options: NetworkMapOptions): NetworkMap {
  const { changeLog, clock, settings } = options;
  const metrics = createNetworkMapMetrics(options.meter ?? meters.getMeter('@nexodus/apiserver'));
  const { follower, trackers, presence } = createFollowing(options, metrics);
  const { sessions, notebook } = createSessions(options, { follower, trackers, presence, metrics });
  const stopping = new AbortController();
  const isOnline = (vpcId: string, deviceId: string): boolean =>
    sessions.has(vpcId, deviceId) || presence.stateOf(vpcId, deviceId)?.online === true;
  const parts = [notebook.part, follower.part, trackers.part, presence.part, sessions.part];
  return {
    parts: [...parts, endingPart(stopping)],
    drainPart: sessions.drainPart,
    connect: createConnect(sessions, clock),
    changeService: createChangeService({
      changeLog,
      follower,
      clock,
      metrics,
      stopping: stopping.signal,
      heartbeatMs: settings.heartbeatMs ?? HEARTBEAT_MS,
      maxWaiting: MAX_WATCH_WAITING,
    }),
    followVpc: async (vpcId) => {
      await follower.refresh();
      return trackers.require(vpcId);
    },
    reachabilityChanged: () => sessions.reachabilityChanged(),
    isOnline,
    deviceState: (vpcId, deviceId) => ({
      isOnline: isOnline(vpcId, deviceId),
      endpoints: presence.stateOf(vpcId, deviceId)?.endpoints ?? [],
    }),
  };
}

interface Following {
  readonly follower: LogFollower;
  readonly trackers: VpcTrackers;
  readonly presence: Presence;
}

function createFollowing(options: NetworkMapOptions, metrics: NetworkMapMetrics): Following {
  const { settings } = options;
  const follower = new LogFollower({ ...options, pollMs: settings.pollMs ?? 1_000 });
  const coalesceMs = settings.coalesceMs ?? 25;
  const trackers = new VpcTrackers({ ...options, follower, metrics, coalesceMs });
  const presence = new Presence({
    ...options,
    sweepMs: SWEEP_MS,
    graceMs: SWEEP_GRACE_MS,
    changed: (vpcId, deviceId) => trackers.get(vpcId)?.peerChanged(deviceId),
  });
  return { follower, trackers, presence };
}

function createSessions(
  options: NetworkMapOptions,
  following: Following & { readonly metrics: NetworkMapMetrics },
): { sessions: AgentSessions; notebook: SessionNotebook } {
  const { settings } = options;
  const store = createPostgresSessionStore(options.database);
  const notebook = new SessionNotebook({
    ...options,
    store,
    intervalMs: settings.notesMs ?? 5_000,
  });
  const sessions = new AgentSessions({
    ...options,
    ...following,
    store,
    notebook,
    settings: {
      leaseSeconds: settings.leaseSeconds ?? 86_400,
      heartbeatMs: settings.heartbeatMs ?? HEARTBEAT_MS,
      silenceMs: settings.silenceMs ?? 30_000,
      peerStatesMs: PEER_STATES_MS,
      maxEntries: settings.maxEntries ?? 4_096,
    },
  });
  return { sessions, notebook };
}

/** Ends the streams of internal readers. */
function endingPart(stopping: AbortController): Part {
  return {
    name: 'change service',
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(stopping.abort()),
  };
}

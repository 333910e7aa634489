import type { Clock } from '@nexodus/clock';
import {
  GoodbyeReason,
  type Hello,
  type PeerState,
  type ReachabilityMap,
} from '@nexodus/contracts/agent';
import { SessionBegan } from '@nexodus/contracts/event';
import { isUnavailable } from '@nexodus/database';
import type { Part } from '@nexodus/lifecycle';
import type { BusMessage, BusSubscription, MessageBus, SoftStateStore } from '@nexodus/messaging';
import { unauthenticated, unavailable } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import type { Caller } from '../identity/caller.ts';
import { NOWHERE } from '../core/network-map/whereabouts.ts';
import { AgentSession, type StreamSettings } from './agent-session.ts';
import type { LogFollower } from './log-follower.ts';
import type { NetworkMapMetrics } from './network-map-metrics.ts';
import { SessionAnnouncer } from './session-announcer.ts';
import type { SessionNotebook } from './session-notebook.ts';
import type { SessionStore } from './session-store.ts';
import { StreamAdmission } from './stream-admission.ts';
import { outsideTraces } from './trace-context.ts';
import type { VpcTrackers } from './vpc-trackers.ts';

/** A device that calls. */
export type DeviceCaller = Extract<Caller, { kind: 'device' }>;

/** What sessions need. */
export interface AgentSessionsOptions {
  readonly store: SessionStore;
  readonly follower: Pick<LogFollower, 'refresh'>;
  readonly trackers: Pick<VpcTrackers, 'require' | 'get'>;
  readonly notebook: Pick<SessionNotebook, 'add'>;
  readonly presence: { stateOf(vpcId: string, deviceId: string): PeerState | undefined };
  /** The relays and STUN servers there are; undefined while that is not known. */
  readonly reachability: () => ReachabilityMap | undefined;
  readonly softState: Pick<SoftStateStore, 'put' | 'delete'>;
  readonly bus: Pick<MessageBus, 'publish' | 'subscribe'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: NetworkMapMetrics;
  readonly settings: StreamSettings;
}

/** What the agents of a stopping replica get to take in its goodbye. */
const DRAIN_MS = 1_500;

/** Some hundred times what the database works on at once. */
const MAX_OPENING = 256;

/** More than a device leaves behind that reconnects while its older streams wait for their keepalive. */
const MAX_CALLS_OF_DEVICE = 8;

/** The streams of this replica: at most one for each device. */
export class AgentSessions {
  /** Watches for newer sessions elsewhere; ends all streams and their announcements at its stop. */
  readonly part: Part = {
    name: 'agent sessions',
    start: () => outsideTraces(() => this.#start()),
    stop: () => this.#stop(),
  };
  /** To be started after the server that takes streams in, so that it stops before: its stop says goodbye to all. */
  readonly drainPart: Part = {
    name: 'agent streams',
    start: () => Promise.resolve(),
    stop: () => this.#drain(),
  };
  /** Bounds on what is being opened here. */
  readonly admission = new StreamAdmission({
    maxOpening: MAX_OPENING,
    maxCallsOfDevice: MAX_CALLS_OF_DEVICE,
  });
  readonly #options: AgentSessionsOptions;
  readonly #sessions = new Map<string, AgentSession>();
  readonly #farewells = new Set<Promise<void>>();
  #subscription: BusSubscription | undefined;
  #isDraining = false;

  constructor(options: AgentSessionsOptions) {
    this.#options = options;
  }

  /** Tells all devices of the relays and STUN servers there are now. */
  reachabilityChanged(): void {
    for (const session of this.#sessions.values()) session.reachabilityChanged();
  }

  /** Whether the device has its stream here. */
  has(vpcId: string, deviceId: string): boolean {
    return this.#sessions.get(deviceId)?.vpcId === vpcId;
  }

  /**
   * Begins a session; older ones of the device end, here and on other replicas. None begins for a call that is over
   * before anybody knows of the session: a stream that the device gave up would end the one that it uses now.
   *
   * @throws {RpcError} UNAUTHENTICATED with reason DEVICE_DELETED or DEVICE_EXPIRED, UNAVAILABLE, RESOURCE_EXHAUSTED
   */
  async open(device: DeviceCaller, hello: Hello, signal: AbortSignal): Promise<AgentSession> {
    if (this.#isDraining) throw unavailable('this replica is stopping');
    return this.admission.opening(() => this.#open(device, hello, signal));
  }

  async #open(
    { id: deviceId, vpcId }: DeviceCaller,
    hello: Hello,
    signal: AbortSignal,
  ): Promise<AgentSession> {
    const { bus, follower, metrics, trackers } = this.#options;
    if (signal.aborted) throw unavailable('the call is over');
    const epoch = await this.#begin(vpcId, deviceId);
    if (signal.aborted) throw unavailable('the call is over');
    const began = SessionBegan.encode({ deviceId, sessionEpoch: epoch }).finish();
    bus.publish(`nexodus.device.${deviceId}.session`, began);
    const session = outsideTraces(() => this.#create({ vpcId, deviceId, epoch, hello }));
    metrics.streams(1);
    this.#register(session);
    try {
      await follower.refresh();
    } catch (cause) {
      session.close();
      throw unavailable('the change log does not answer', { cause });
    }
    if (this.#sessions.get(deviceId) === session) trackers.require(vpcId).add(session);
    return session;
  }

  async #begin(vpcId: string, deviceId: string): Promise<bigint> {
    const { clock, store } = this.#options;
    const start = await store.begin({ vpcId, deviceId }, clock.now()).catch((cause: unknown) => {
      throw isUnavailable(cause) ? unavailable('the database does not answer', { cause }) : cause;
    });
    if (start.outcome === 'begun') return start.epoch;
    throw start.outcome === 'deleted'
      ? unauthenticated('DEVICE_DELETED', 'this device was deleted: enrol with new keys')
      : unauthenticated('DEVICE_EXPIRED', 'the key of this device has expired: renew it');
  }

  #create(start: { vpcId: string; deviceId: string; epoch: bigint; hello: Hello }): AgentSession {
    const { clock, logger, metrics, notebook, presence, reachability, settings, softState } =
      this.#options;
    const { deviceId, epoch, vpcId } = start;
    const announcer = new SessionAnnouncer({
      softState,
      clock,
      logger,
      vpcId,
      deviceId,
      epoch,
      whereabouts: presence.stateOf(vpcId, deviceId) ?? NOWHERE,
      superseded: () => session.end(GoodbyeReason.SUPERSEDED),
    });
    const session = new AgentSession({
      ...start,
      settings,
      clock,
      logger,
      metrics,
      announcer,
      notebook,
      stateOf: (peerId) => presence.stateOf(vpcId, peerId),
      reachability,
      ended: (ended) => this.#ended(ended, announcer),
    });
    announcer.begin();
    return session;
  }

  /** The epoch says which of two sessions is the newer one, whichever came here first. */
  #register(session: AgentSession): void {
    const other = this.#sessions.get(session.deviceId);
    if (other !== undefined && other.epoch > session.epoch) {
      session.end(GoodbyeReason.SUPERSEDED);
      return;
    }
    this.#sessions.set(session.deviceId, session);
    other?.end(GoodbyeReason.SUPERSEDED);
  }

  #ended(session: AgentSession, announcer: SessionAnnouncer): void {
    this.#options.metrics.streams(-1);
    this.#options.trackers.get(session.vpcId)?.remove(session);
    if (this.#sessions.get(session.deviceId) === session) this.#sessions.delete(session.deviceId);
    const farewell = outsideTraces(() => announcer.end(session.isSuperseded));
    this.#farewells.add(farewell);
    void farewell.then(() => this.#farewells.delete(farewell));
  }

  #start(): Promise<void> {
    const { bus, logger } = this.#options;
    const handle = ({ data }: BusMessage): void => {
      const { deviceId, sessionEpoch } = SessionBegan.decode(data);
      const session = this.#sessions.get(deviceId);
      if (session !== undefined && session.epoch < sessionEpoch) {
        session.end(GoodbyeReason.SUPERSEDED);
      }
    };
    this.#subscription = bus.subscribe('nexodus.device.*.session', handle, {
      onError: (error) => logger.warn({ error }, 'news of a session could not be understood'),
    });
    return Promise.resolve();
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    const sessions = [...this.#sessions.values()];
    for (const session of sessions) session.end(GoodbyeReason.DRAINING);
    const left = Promise.all(sessions.map(({ finished }) => finished));
    const { clock } = this.#options;
    const enough = new AbortController();
    await Promise.race([left, clock.wait(DRAIN_MS, enough.signal)]);
    enough.abort();
  }

  async #stop(): Promise<void> {
    await this.#drain();
    this.#subscription?.unsubscribe();
    await Promise.all(this.#farewells);
  }
}

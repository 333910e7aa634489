/**
 * Follows one VPC for the streams of this replica: hides who is removed at once, asks policy for each interval, and
 * tells each stream what changed in its device's view.
 */
import type { Clock, Timer } from '@nexodus/clock';
import { GoodbyeReason } from '@nexodus/contracts/agent';
import type { PolicyServiceDefinition } from '@nexodus/contracts/policy';
import { peerKey, removalOf } from '@nexodus/network-map';
import { isRpcError, type RpcClient, Status } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { retryDelayMs } from '../core/network-map/backoff.ts';
import type { PolicyAnswer } from '../core/network-map/visibility.ts';
import { LogGap, type ViewChanges, VpcViews } from '../core/network-map/vpc-views.ts';
import type { ChangeLog } from '../database/change-log.ts';
import type { AgentSession } from './agent-session.ts';
import { Bell } from './bell.ts';
import type { LogFollower, SeenChange } from './log-follower.ts';
import { deletedDevices, MissedRemovals } from './missed-removals.ts';
import type { NetworkMapMetrics } from './network-map-metrics.ts';
import { outsideTraces, withinTrace } from './trace-context.ts';
import { wholeAnswer } from './whole-answer.ts';

/** What trackers need. */
export interface VpcTrackerOptions {
  readonly changeLog: Pick<ChangeLog, 'snapshot' | 'read'>;
  readonly follower: Pick<LogFollower, 'refresh'>;
  readonly policy: Pick<RpcClient<typeof PolicyServiceDefinition>, 'compile'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly metrics: NetworkMapMetrics;
  /** What comes within this time after an interval goes into the next one. */
  readonly coalesceMs: number;
}

/** Somebody who follows a VPC without being one of its devices. */
export interface ViewObserver {
  /** The views of these devices changed, or those devices are gone; `all` when everything may have. */
  viewsChanged(deviceIds: readonly string[] | 'all'): void;
}

/** Changes that may wait for policy or a snapshot; with more the VPC is read anew when it can be. */
const MAX_PENDING = 4_096;

/** What all pieces of an answer may take: some seconds for the pairs of thousands of devices. */
const COMPILE_TIMEOUT_MS = 30_000;

/** Timers hold 24 days at most; keys live for 180. */
const MAX_TIMER_MS = 60 * 60_000;

/** Of one VPC, while it has streams here. */
export class VpcTracker {
  readonly vpcId: string;
  readonly #options: VpcTrackerOptions;
  readonly #sessions = new Map<string, AgentSession>();
  readonly #observers = new Set<ViewObserver>();
  readonly #bell = new Bell();
  readonly #stopping = new AbortController();
  readonly #missed: MissedRemovals;
  /** What streams are told. */
  #current: VpcViews | undefined;
  /** What will replace it when policy has answered for it. */
  #next: VpcViews | undefined;
  /** Changes since a snapshot that is being read was asked for. */
  #arrived: SeenChange[] | undefined;
  #mustLoad = true;
  #mustCompileWhole = false;
  /** Changes that policy has not answered for, oldest first. */
  #trail: SeenChange[] = [];
  #advancedAtMs = -Infinity;
  #expiryTimer: Timer | undefined;
  #idleSinceMs: number;
  #running: Promise<void> | undefined;

  constructor(vpcId: string, options: VpcTrackerOptions) {
    this.vpcId = vpcId;
    this.#options = options;
    this.#idleSinceMs = options.clock.monotonicMs();
    this.#missed = new MissedRemovals({
      ...options,
      vpcId,
      signal: this.#stopping.signal,
      hiddenIds: () => (this.#next ?? this.#current)?.hiddenIds(options.clock.now()) ?? [],
    });
  }

  /** Begins to follow. Changes are to be handed in from before this call on. */
  start(): void {
    this.#running = outsideTraces(() => this.#run());
  }

  /** Stops following. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#expiryTimer?.cancel();
    this.#bell.ring();
    await Promise.all([this.#running, this.#missed.settled()]);
  }

  /** The views as policy answered for them; undefined before its first answer. */
  get views(): VpcViews | undefined {
    return this.#current;
  }

  /** Whether there has been neither a stream nor an observer for this long. */
  isIdleFor(durationMs: number): boolean {
    const { clock } = this.#options;
    if (this.#observers.size > 0) return false;
    return this.#sessions.size === 0 && clock.monotonicMs() - this.#idleSinceMs >= durationMs;
  }

  /** Tells a session what its device's view is, as soon as that is known. The log was refreshed after it began. */
  add(session: AgentSession): void {
    this.#sessions.set(session.deviceId, session);
    this.#settleSessions();
  }

  /** Forgets a session. */
  remove(session: AgentSession): void {
    if (this.#sessions.get(session.deviceId) === session) this.#sessions.delete(session.deviceId);
    this.#idleSinceMs = this.#options.clock.monotonicMs();
  }

  /** Tells an observer of every change of the views until the returned function is called. */
  observe(observer: ViewObserver): () => void {
    this.#observers.add(observer);
    return () => {
      this.#observers.delete(observer);
      this.#idleSinceMs = this.#options.clock.monotonicMs();
    };
  }

  /** The log begins anew: it was restored, or has a gap. */
  restart(): void {
    this.#mustLoad = true;
    this.#bell.ring();
  }

  /** The VPC is no more. */
  removed(): void {
    this.#endSessions([...this.#sessions.keys()], GoodbyeReason.RESYNC);
  }

  /** The next change of the log. */
  changed(seen: SeenChange): void {
    const deletedIds = deletedDevices(seen.change);
    if (this.#arrived !== undefined) this.#arrived.push(seen);
    else this.#enqueue(seen);
    if (deletedIds.length > 0) this.#hide(deletedIds, GoodbyeReason.DEVICE_DELETED, seen);
    if (this.#trail.length > MAX_PENDING) this.#mustLoad = true;
    this.#bell.ring();
  }

  /** The soft state of a device changed. */
  peerChanged(deviceId: string): void {
    for (const viewerId of this.#current?.viewersOf(deviceId) ?? []) {
      this.#sessions.get(viewerId)?.peerChanged(deviceId);
    }
  }

  #enqueue(seen: SeenChange): void {
    const target = this.#next ?? this.#current;
    if (target === undefined || this.#mustLoad) return;
    try {
      const { changes, expiredDeviceIds } = target.enqueue(seen.change, this.#options.clock.now());
      if (target === this.#current) this.#tell(changes, [seen]);
      this.#hide(expiredDeviceIds, GoodbyeReason.DEVICE_EXPIRED, seen);
      this.#trail.push(seen);
      this.#armExpiry();
    } catch (error) {
      if (!(error instanceof LogGap)) throw error;
      this.#mustLoad = true;
    }
  }

  /** Removals go out at once, also to streams that cannot be told anything else yet. */
  #hide(deviceIds: readonly string[], reason: GoodbyeReason, cause?: SeenChange): void {
    if (deviceIds.length === 0) return;
    const trail = cause === undefined ? [] : [cause];
    if (this.#current !== undefined) this.#tell(this.#current.hide(deviceIds), trail);
    const removals = deviceIds.map((id) => removalOf(peerKey(id)));
    const waiting = [...this.#sessions.values()].filter(({ isAttached }) => !isAttached);
    this.#tell(new Map(waiting.map(({ deviceId }) => [deviceId, removals])), trail);
    this.#endSessions(deviceIds, reason);
    this.#notify(deviceIds);
  }

  #tell(changes: ViewChanges, trail: readonly SeenChange[]): void {
    const to = this.#current?.revision ?? 0n;
    const traceparent = trail.findLast((seen) => seen.traceparent !== '')?.traceparent ?? '';
    const seenAtMs = trail[0]?.seenAtMs ?? this.#options.clock.monotonicMs();
    for (const [deviceId, entries] of changes) {
      this.#sessions.get(deviceId)?.add({ entries, to, traceparent, seenAtMs });
    }
    if (changes.size > 0) this.#notify([...changes.keys()]);
  }

  #notify(deviceIds: readonly string[] | 'all'): void {
    for (const observer of this.#observers) observer.viewsChanged(deviceIds);
  }

  #endSessions(deviceIds: Iterable<string>, reason: GoodbyeReason): void {
    for (const id of deviceIds) this.#sessions.get(id)?.end(reason);
  }

  async #run(): Promise<void> {
    const { clock, logger, random } = this.#options;
    const { signal } = this.#stopping;
    let attempt = 0;
    while (!signal.aborted) {
      try {
        if (this.#mustLoad) await this.#load();
        else if (this.#hasWork()) await this.#advance();
        else await this.#bell.wait(clock);
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        const isWaiting = isRpcError(error, Status.UNAVAILABLE);
        logger[isWaiting ? 'debug' : 'warn']({ error, vpc_id: this.vpcId }, 'a VPC waits');
        await clock.wait(retryDelayMs(attempt, random()), signal);
        attempt += 1;
      }
    }
  }

  #hasWork(): boolean {
    const target = this.#next ?? this.#current;
    return target !== undefined && (!target.isCompiled || target.pendingCount > 0);
  }

  /** Reads the VPC anew. What is gone from it is hidden before policy answers. */
  async #load(): Promise<void> {
    const { changeLog, follower } = this.#options;
    await follower.refresh();
    this.#mustLoad = false;
    this.#arrived = [];
    try {
      const snapshot = await changeLog.snapshot(this.vpcId);
      const arrived = this.#arrived;
      this.#arrived = undefined;
      if (snapshot === undefined) {
        this.removed();
        await this.#bell.wait(this.#options.clock);
        this.#mustLoad = true;
        return;
      }
      const views = new VpcViews(snapshot);
      this.#next = views;
      this.#trail = [];
      const held = [...(this.#current?.deviceIds() ?? [])];
      const gone = held.filter((id) => views.whereIs(id) === 'nowhere');
      this.#hide(gone, GoodbyeReason.RESYNC);
      for (const seen of arrived) this.#enqueue(seen);
      this.#armExpiry();
      this.#settleSessions();
    } catch (error) {
      this.#arrived = undefined;
      this.#mustLoad = true;
      throw error;
    }
  }

  /** Brings the views to the last revision that is known, with policy's answer for exactly that interval. */
  async #advance(): Promise<void> {
    const { clock, coalesceMs, metrics } = this.#options;
    const { signal } = this.#stopping;
    const restMs = this.#advancedAtMs + coalesceMs - clock.monotonicMs();
    if (restMs > 0) await clock.wait(restMs, signal);
    const target = this.#next ?? this.#current;
    if (target === undefined || signal.aborted || this.#mustLoad) return;
    const to = target.latestRevision;
    const answer = await this.#compile(target, to);
    if (answer === undefined || this.#mustLoad || signal.aborted) return;
    metrics.compiled('answered');
    this.#advancedAtMs = clock.monotonicMs();
    this.#mustCompileWhole = false;
    const trail = this.#trail.filter(({ change }) => change.revision <= to);
    this.#trail = this.#trail.slice(trail.length);
    const changes = target.advance(to, answer, clock.now());
    if (target === this.#current) this.#tell(changes, trail);
    else this.#replace(target);
    this.#armExpiry();
    this.#settleSessions();
  }

  /** Policy's answer; undefined when it has to be asked for everything. */
  async #compile(target: VpcViews, to: bigint): Promise<PolicyAnswer | undefined> {
    const { metrics, policy } = this.#options;
    const { signal } = this.#stopping;
    const isWhole = !target.isCompiled || this.#mustCompileWhole;
    const from = isWhole ? 0n : target.revision;
    const { vpcId, logIncarnation } = target;
    const traceparent = this.#trail.findLast((seen) => seen.traceparent !== '')?.traceparent ?? '';
    try {
      const { shown, hidden } = await withinTrace(traceparent, () =>
        wholeAnswer(
          policy.compile(
            { vpcId, logIncarnation, from, to },
            { signal, timeoutMs: COMPILE_TIMEOUT_MS },
          ),
        ),
      );
      return from === 0n ? { kind: 'whole', shown } : { kind: 'difference', shown, hidden };
    } catch (error) {
      const isCompacted = isRpcError(error, Status.FAILED_PRECONDITION, 'INTERVAL_COMPACTED');
      if (isCompacted) metrics.compiled('compacted');
      else metrics.compiled(isRpcError(error, Status.UNAVAILABLE) ? 'unavailable' : 'failed');
      if (!isCompacted || from === 0n) throw error;
      this.#mustCompileWhole = true;
      return undefined;
    }
  }

  /** Views that were read anew take over, and every stream gets a snapshot of them. */
  #replace(views: VpcViews): void {
    this.#current = views;
    this.#next = undefined;
    for (const session of this.#sessions.values()) {
      if (session.isAttached) session.attach(views, false);
    }
    this.#notify('all');
  }

  #settleSessions(): void {
    for (const session of this.#sessions.values()) {
      if (!session.isAttached) this.#settle(session);
    }
  }

  /** Attaches a session when that can be, and sees to it that one which has to wait hears of removals at least. */
  #settle(session: AgentSession): void {
    const { deviceId, hello } = session;
    const latest = this.#next ?? this.#current;
    if (latest === undefined) return;
    const isSameLog =
      hello.appliedRevision > 0n &&
      hello.vpcId === this.vpcId &&
      hello.logIncarnation === latest.logIncarnation;
    const isHeldNow = isSameLog && session.hold();
    const isSure = !this.#mustLoad && this.#arrived === undefined;
    if (isSure && latest.whereIs(deviceId) === 'nowhere') session.end(GoodbyeReason.RESYNC);
    const end = latest.endOf(deviceId);
    if (end === 'deleted') session.end(GoodbyeReason.DEVICE_DELETED);
    if (end === 'expired') session.end(GoodbyeReason.DEVICE_EXPIRED);
    if (latest === this.#current && !session.isOver) this.#attach(session, latest, isSameLog);
    if (isHeldNow && !session.isAttached && !session.isOver) this.#missed.tell(session);
  }

  /** Attaches a session when its device is in the views and these are not older than what the device holds. */
  #attach(session: AgentSession, views: VpcViews, isSameLog: boolean): void {
    const { deviceId, hello } = session;
    if (views.whereIs(deviceId) !== 'here') return;
    const { appliedRevision } = hello;
    const isAhead = isSameLog && appliedRevision > views.revision;
    if (isAhead && appliedRevision <= views.latestRevision) return;
    const isComparable = isSameLog && !isAhead && !session.wasTold;
    session.attach(views, isComparable && views.digestOf(deviceId).equals(hello.viewDigest));
  }

  #armExpiry(): void {
    const { clock } = this.#options;
    this.#expiryTimer?.cancel();
    const atMs = (this.#next ?? this.#current)?.noExpiryBeforeMs ?? Infinity;
    if (atMs === Infinity || this.#stopping.signal.aborted) return;
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(0, atMs - clock.now()));
    this.#expiryTimer = clock.setTimer(delayMs, () => outsideTraces(() => this.#expire()));
  }

  /** The newest state says who expired; what streams are told follows it at once. */
  #expire(): void {
    const latest = this.#next ?? this.#current;
    const expired = latest?.expire(this.#options.clock.now());
    if (expired !== undefined) {
      if (latest === this.#current) this.#tell(expired.changes, []);
      this.#hide(expired.expiredDeviceIds, GoodbyeReason.DEVICE_EXPIRED);
    }
    this.#armExpiry();
  }
}

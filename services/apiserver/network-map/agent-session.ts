/**
 * One agent's stream: what the device says, and what it still has to be told.
 *
 * The stream is pulled: nothing is made for a transport that takes nothing, and what waits meanwhile stays small (see
 * `ViewOutbox`). Of everything that may be said, the end of the stream comes first, then the view, then soft state of
 * peers, then the heartbeat.
 */
import type { Clock, Timer } from '@nexodus/clock';
import {
  type Applied,
  type ConnectRequest,
  type ConnectResponse,
  GoodbyeReason,
  type Hello,
  type PeerState,
  type ReachabilityMap,
  type ViewEntry,
  ViewKind,
} from '@nexodus/contracts/agent';
import type { ViewDigest } from '@nexodus/network-map';
import type { Logger } from '@nexodus/telemetry';
import { countFrames, framesOf } from '../core/network-map/view-frames.ts';
import { type OutboxChange, ViewOutbox } from '../core/network-map/view-outbox.ts';
import { readWhereabouts } from '../core/network-map/whereabouts.ts';
import { AppliedReview } from './applied-review.ts';
import { Bell } from './bell.ts';
import type { NetworkMapMetrics } from './network-map-metrics.ts';
import { PeerNews } from './peer-news.ts';
import type { SessionAnnouncer } from './session-announcer.ts';
import type { SessionNotebook } from './session-notebook.ts';

/** What a session reads of its VPC when it is about to send. */
export interface SessionViews {
  /** Revision that the views stand at. */
  readonly revision: bigint;
  readonly logIncarnation: string;
  entriesOf(deviceId: string): readonly ViewEntry[];
  digestOf(deviceId: string): ViewDigest;
  sees(viewerId: string, peerId: string): boolean;
  peersOf(viewerId: string): readonly string[];
}

/** Limits and rhythm of streams. */
export interface StreamSettings {
  /** How long a device may use its last view without the service. */
  readonly leaseSeconds: number;
  readonly heartbeatMs: number;
  /** A stream that says nothing for so long is over. */
  readonly silenceMs: number;
  /** Soft state of peers that changes within this time goes out together. */
  readonly peerStatesMs: number;
  /** Entries that may wait for one stream. */
  readonly maxEntries: number;
}

/** What a session is made of. */
export interface AgentSessionOptions {
  readonly vpcId: string;
  readonly deviceId: string;
  readonly epoch: bigint;
  readonly hello: Hello;
  readonly settings: StreamSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: NetworkMapMetrics;
  readonly announcer: SessionAnnouncer;
  readonly notebook: Pick<SessionNotebook, 'add'>;
  readonly stateOf: (deviceId: string) => PeerState | undefined;
  /** The relays and STUN servers there are; undefined while that is not known. */
  readonly reachability: () => ReachabilityMap | undefined;
  /** Called once, when the session is over. */
  readonly ended: (session: AgentSession) => void;
}

/** Capability number of the service; docs/protocol/agent.md has its history. */
const CAPABILITY = 1;

/** How often it is noted that a device is still there. */
const NOTE_MS = 60_000;

/** Peers in one PeerStates. */
const STATES_PER_MESSAGE = 256;

type Message = NonNullable<ConnectResponse['message']>;

/** One stream of one device. */
export class AgentSession {
  readonly vpcId: string;
  readonly deviceId: string;
  readonly epoch: bigint;
  readonly hello: Hello;
  readonly #options: AgentSessionOptions;
  readonly #bell = new Bell();
  readonly #outbox: ViewOutbox;
  readonly #peerNews: PeerNews;
  readonly #review: AppliedReview;
  readonly #decided = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<void>();
  #views: SessionViews | undefined;
  #wasTold = false;
  #goodbye: GoodbyeReason | undefined;
  #isOver = false;
  #heartbeatAtMs: number;
  #heardAtMs: number;
  #silenceTimer: Timer | undefined;
  #lastSequence = -1n;
  #applied = 0n;
  #notedAtMs = -Infinity;
  #isReachabilityNews = true;

  constructor(options: AgentSessionOptions) {
    const { clock, settings } = options;
    this.#options = options;
    this.vpcId = options.vpcId;
    this.deviceId = options.deviceId;
    this.epoch = options.epoch;
    this.hello = options.hello;
    this.#outbox = new ViewOutbox(settings.maxEntries);
    this.#peerNews = new PeerNews(clock, settings.peerStatesMs);
    this.#review = new AppliedReview(options);
    this.#heardAtMs = clock.monotonicMs();
    this.#heartbeatAtMs = this.#heardAtMs + settings.heartbeatMs;
    this.#watchSilence();
  }

  /** Resolves when nothing of the stream is left to send. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Resolves when its end was decided. */
  get over(): Promise<void> {
    return this.#decided.promise;
  }

  /** Whether its end was decided. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether a newer session of the device took over. */
  get isSuperseded(): boolean {
    return this.#goodbye === GoodbyeReason.SUPERSEDED;
  }

  /** Whether it follows the views of its VPC. */
  get isAttached(): boolean {
    return this.#outbox.isAttached;
  }

  /** Whether it was told something since Hello, so that the digest said there holds no more. */
  get wasTold(): boolean {
    return this.#wasTold;
  }

  /** Until `attach` only removals are told, in the log that the device's view came from. Whether that is news. */
  hold(): boolean {
    return this.#outbox.hold(this.hello.appliedRevision);
  }

  /** From here on the session is told everything; the device holds the present view already, or gets a snapshot. */
  attach(views: SessionViews, isCurrent: boolean): void {
    this.#views = views;
    this.#outbox.attach(views.revision);
    if (isCurrent) this.#heartbeatAtMs = this.#options.clock.monotonicMs();
    else this.#outbox.markStale();
    for (const peerId of views.peersOf(this.deviceId)) this.#peerNews.note(peerId);
    this.#bell.ring();
  }

  /** Tells the device of changes of its view. */
  add(change: OutboxChange): void {
    if (this.#isOver) return;
    if (!this.#outbox.add(change)) this.#options.metrics.overflow('stream');
    if (this.isAttached) this.#peerNews.noteShown(change.entries);
    this.#bell.ring();
  }

  /** The soft state of a visible peer changed. */
  peerChanged(peerId: string): void {
    if (this.#isOver) return;
    this.#peerNews.note(peerId);
    this.#bell.ring();
  }

  /** The relays or STUN servers changed. */
  reachabilityChanged(): void {
    if (this.#isOver) return;
    this.#isReachabilityNews = true;
    this.#bell.ring();
  }

  /** Ends the stream with a reason for the device; the first reason counts. */
  end(reason: GoodbyeReason): void {
    if (this.#isOver) return;
    this.#goodbye = reason;
    this.#over();
  }

  /** Ends the session without a word: the device is gone. */
  close(): void {
    if (this.#isOver) return;
    this.#over();
  }

  /** Takes in what the device says. */
  receive({ message }: ConnectRequest): void {
    if (this.#isOver) return;
    const { announcer, clock } = this.#options;
    this.#heardAtMs = clock.monotonicMs();
    if (message?.$case === 'localState') {
      if (message.value.sequence <= this.#lastSequence) return;
      this.#lastSequence = message.value.sequence;
      announcer.setWhereabouts(readWhereabouts(message.value));
    }
    if (message?.$case === 'applied') this.#hearApplied(message.value);
  }

  /** What the device is told, until the stream ends. To be run once. */
  async *messages(): AsyncGenerator<Message> {
    const { clock } = this.#options;
    try {
      yield this.#welcome();
      while (!this.#isOver) {
        yield* this.#dueView();
        yield* this.#dueReachability();
        yield* this.#duePeerStates();
        yield* this.#dueHeartbeat();
        if (!this.#isOver) await this.#bell.wait(clock, this.#nextDueMs());
      }
      if (this.#goodbye !== undefined) yield { $case: 'goodbye', value: { reason: this.#goodbye } };
    } finally {
      this.close();
      this.#finished.resolve();
    }
  }

  #hearApplied(applied: Applied): void {
    const { revision } = applied;
    this.#review.noteProblem(applied.problem);
    if (revision > this.#outbox.cursor || !this.isAttached || revision === this.#applied) return;
    this.#applied = revision;
    this.#writeNote();
    if (this.#views === undefined || !this.#outbox.isIdle) return;
    if (!this.#review.differs(applied, this.#views)) return;
    this.#outbox.markStale();
    this.#bell.ring();
  }

  #welcome(): Message {
    const { clock, epoch, settings } = this.#options;
    const value = {
      sessionEpoch: epoch,
      capability: CAPABILITY,
      serverTimeMs: BigInt(clock.now()),
      leaseSeconds: settings.leaseSeconds,
    };
    return { $case: 'welcome', value };
  }

  *#dueView(): Generator<Message> {
    const { clock, deviceId, hello, metrics, vpcId } = this.#options;
    const views = this.#views;
    const item = this.#isOver ? undefined : this.#outbox.take(views?.revision ?? 0n);
    if (item === undefined) return;
    this.#wasTold = true;
    this.#review.told(item.to, item.kind);
    const entries = item.kind === 'delta' ? item.entries : (views?.entriesOf(deviceId) ?? []);
    const value = {
      vpcId,
      logIncarnation: views?.logIncarnation ?? hello.logIncarnation,
      kind: item.kind === 'snapshot' ? ViewKind.SNAPSHOT : ViewKind.DELTA,
      from: item.kind === 'delta' ? item.from : 0n,
      to: item.to,
      frames: countFrames(entries),
      traceparent: item.kind === 'delta' ? item.traceparent : '',
    };
    yield { $case: 'viewInterval', value };
    for (const frame of framesOf(entries)) yield { $case: 'viewEntries', value: frame };
    metrics.sent(item.kind);
    if (item.kind === 'delta') metrics.latency(clock.monotonicMs() - item.seenAtMs);
  }

  *#dueReachability(): Generator<Message> {
    const value = this.#options.reachability();
    if (this.#isOver || !this.#isReachabilityNews || value === undefined) return;
    this.#isReachabilityNews = false;
    yield { $case: 'reachabilityMap', value };
    this.#options.metrics.sent('reachability');
  }

  *#duePeerStates(): Generator<Message> {
    const { deviceId, metrics, stateOf } = this.#options;
    if (this.#isOver) return;
    const states = this.#peerNews
      .take()
      .filter((peerId) => this.#views?.sees(deviceId, peerId) === true)
      .flatMap((peerId) => stateOf(peerId) ?? []);
    for (let index = 0; index < states.length; index += STATES_PER_MESSAGE) {
      const some = states.slice(index, index + STATES_PER_MESSAGE);
      yield { $case: 'peerStates', value: { states: some } };
      metrics.sent('peer-states');
    }
  }

  *#dueHeartbeat(): Generator<Message> {
    const { clock, metrics, settings } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#isOver || nowMs < this.#heartbeatAtMs) return;
    this.#heartbeatAtMs = nowMs + settings.heartbeatMs;
    const revision = this.#outbox.bookmark(this.#views?.revision ?? 0n);
    if (revision > 0n) {
      metrics.sent('bookmark');
      this.#review.told(revision, 'bookmark');
    }
    if (nowMs - this.#notedAtMs >= NOTE_MS) this.#writeNote();
    yield { $case: 'heartbeat', value: { serverTimeMs: BigInt(clock.now()), revision } };
  }

  #nextDueMs(): number {
    const dueAtMs = Math.min(this.#heartbeatAtMs, this.#peerNews.dueAtMs);
    return Math.max(0, dueAtMs - this.#options.clock.monotonicMs());
  }

  #writeNote(): void {
    const { clock, deviceId, epoch, notebook } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#notedAtMs = nowMs;
    const appliedRevision = this.#applied === 0n ? undefined : this.#applied;
    const seenAtMs = clock.now() - (nowMs - this.#heardAtMs);
    notebook.add({ deviceId, epoch, appliedRevision, seenAtMs });
  }

  #watchSilence(): void {
    const { clock, settings } = this.#options;
    const leftMs = this.#heardAtMs + settings.silenceMs - clock.monotonicMs();
    if (leftMs <= 0) this.close();
    else this.#silenceTimer = clock.setTimer(leftMs, () => this.#watchSilence());
  }

  #over(): void {
    this.#isOver = true;
    this.#decided.resolve();
    this.#silenceTimer?.cancel();
    this.#writeNote();
    this.#options.ended(this);
    this.#bell.ring();
  }
}

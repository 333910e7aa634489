/**
 * What one stream still has to be told of its view.
 *
 * However slow the stream, this stays small: entries that wait are merged by key, because the newest says it all, and
 * beyond `maxEntries` they are dropped and the stream gets a snapshot instead. The intervals that come out join: each
 * begins where the interval or bookmark before it ended.
 */
import type { ViewEntry } from '@nexodus/contracts/agent';

/** Changes of one device's view. */
export interface OutboxChange {
  readonly entries: readonly ViewEntry[];
  /** Revision of the view after them. */
  readonly to: bigint;
  /** W3C trace context of the newest change in it, or empty. */
  readonly traceparent: string;
  /** When the service saw it, on the monotonic clock. */
  readonly seenAtMs: number;
}

/** What is to be sent next. */
export type OutboxItem =
  | {
      readonly kind: 'delta';
      readonly from: bigint;
      readonly to: bigint;
      readonly entries: readonly ViewEntry[];
      readonly traceparent: string;
      /** When the oldest change in it was seen. */
      readonly seenAtMs: number;
    }
  /** The whole view as it is now, at this revision. */
  | { readonly kind: 'snapshot'; readonly to: bigint };

interface Waiting {
  entries: Map<string, ViewEntry>;
  to: bigint;
  traceparent: string;
  seenAtMs: number;
}

/**
 * `detached`: nothing is known of the view that the device holds; `held`: the device holds a view of `cursor`, and
 * until it can be compared only removals are told; `attached`: told everything; `stale`: owed a snapshot.
 */
type OutboxState = 'detached' | 'held' | 'attached' | 'stale';

/** Of one stream. */
export class ViewOutbox {
  readonly #maxEntries: number;
  #state: OutboxState = 'detached';
  #cursor = 0n;
  #waiting: Waiting | undefined;

  /** @param maxEntries of one delta; more become a snapshot */
  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  /** Revision that the stream was told of last. */
  get cursor(): bigint {
    return this.#cursor;
  }

  /** Whether the stream follows the views. */
  get isAttached(): boolean {
    return this.#state === 'attached' || this.#state === 'stale';
  }

  /** Whether the stream follows the views and was told all of them. */
  get isIdle(): boolean {
    return this.#state === 'attached' && this.#waiting === undefined;
  }

  /**
   * The device says that it holds a view of this revision, in the log that this stream will follow. Whether that is news.
   */
  hold(revision: bigint): boolean {
    if (this.#state !== 'detached') return false;
    this.#state = 'held';
    this.#cursor = revision;
    return true;
  }

  /** From here on the stream follows: the device holds the view of this revision. */
  attach(revision: bigint): void {
    this.#state = 'attached';
    this.#cursor = revision;
    this.#waiting = undefined;
  }

  /** The stream gets a snapshot next. */
  markStale(): void {
    this.#state = 'stale';
    this.#waiting = undefined;
  }

  /** Takes changes in; false when they were too many and a snapshot comes instead. */
  add(change: OutboxChange): boolean {
    if (this.#state === 'detached' || this.#state === 'stale') return true;
    const to = this.#state === 'held' ? this.#cursor : change.to;
    const { traceparent, seenAtMs } = change;
    const waiting = (this.#waiting ??= { entries: new Map(), to, traceparent, seenAtMs });
    for (const entry of change.entries) waiting.entries.set(entry.key, entry);
    waiting.to = to;
    if (traceparent !== '') waiting.traceparent = traceparent;
    if (waiting.entries.size <= this.#maxEntries) return true;
    if (this.#state === 'held') this.#waiting = undefined;
    else this.markStale();
    return false;
  }

  /** Next thing to send, given the revision that the views stand at. */
  take(revision: bigint): OutboxItem | undefined {
    if (this.#state === 'stale') {
      this.attach(revision);
      return { kind: 'snapshot', to: revision };
    }
    const waiting = this.#waiting;
    if (waiting === undefined) return undefined;
    this.#waiting = undefined;
    const from = this.#cursor;
    this.#cursor = waiting.to;
    return { ...waiting, kind: 'delta', from, entries: [...waiting.entries.values()] };
  }

  /** Revision that a heartbeat may carry now, given the one that the views stand at; 0 for none. */
  bookmark(revision: bigint): bigint {
    if (this.#state !== 'attached' || this.#waiting !== undefined) return 0n;
    this.#cursor = revision;
    return revision;
  }
}

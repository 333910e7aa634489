/** What is known about something for as long as somebody renews it: presence, endpoints. */
export interface SoftStateEntry {
  /** Tokens joined by dots, such as `<vpc>.<device>`. */
  readonly key: string;
  /** Which session wrote it; a later session has a higher one (from PostgreSQL). 0 to 2^64 - 1. */
  readonly epoch: bigint;
  /** Counts the writes of one session. 0 to 2^64 - 1. */
  readonly sequence: bigint;
  /** Until when it holds unless renewed, in milliseconds since the Unix epoch; at most 12 h ahead. */
  readonly leaseUntil: number;
  readonly value: Uint8Array;
}

/** A change of one key. */
export type SoftStateChange =
  | { readonly kind: 'put'; readonly entry: SoftStateEntry }
  | { readonly kind: 'delete'; readonly key: string };

/** The store cannot be reached, or many writers of one key met too often; the same call may succeed later. */
export class SoftStateUnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SoftStateUnavailableError';
  }
}

/**
 * Soft state with fencing: per key the highest (epoch, sequence) wins, in whatever order writes arrive, because every
 * write compares and sets. An ended or expired entry leaves its (epoch, sequence) behind for 24 h, so that a late write
 * of an older session does not bring it back.
 *
 * Every method but `watch` rejects with `SoftStateUnavailableError` while the store cannot be reached.
 */
export interface SoftStateStore {
  /**
   * Stores the entry unless a newer one is known. The same (epoch, sequence) again is stored again.
   *
   * @throws InvalidSubjectError for the key.
   */
  put(entry: SoftStateEntry): Promise<'stored' | 'stale'>;
  /**
   * Ends the session `epoch` and all before it: the entry is gone and their later writes are stale. `stale` when a later
   * session has written; then nothing changes.
   */
  delete(key: string, epoch: bigint): Promise<'deleted' | 'stale'>;
  /** The entry, also past its lease as long as it was not swept. */
  get(key: string): Promise<SoftStateEntry | undefined>;
  /** The entries whose keys begin with the tokens of `prefix`; all for the empty one. */
  list(prefix: string): Promise<SoftStateEntry[]>;
  /**
   * First a `put` for each entry `list` would give, then every change, until the signal is aborted. It never fails:
   * while the store cannot be reached nothing comes, and afterwards what was missed, because the contents are read anew
   * every 30 s and after every reconnection. A slow reader gets the latest state of a key, not each step.
   */
  watch(prefix: string, signal: AbortSignal): AsyncIterable<SoftStateChange>;
  /** Ends entries whose lease has passed at `now` (ms since the Unix epoch); one renewed meanwhile stays. Returns their keys. */
  sweep(now: number): Promise<string[]>;
}

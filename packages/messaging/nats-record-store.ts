import { jetstream, JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import { Kvm, KvWatchInclude } from '@nats-io/kv';
import type { KV, KvEntry, KvWatchEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';

import type { NatsSession } from './nats-link.ts';
import type { RecordObserver, RecordStore, RecordVersion } from './record-store.ts';
import { encodeEnvelope, InvalidEnvelopeError, parseEnvelope } from './soft-state-envelope.ts';
import type { SoftStateRecord } from './soft-state-record.ts';
import { SoftStateUnavailableError } from './soft-state-store.ts';

/** What one request may take. */
const REQUEST_TIMEOUT_MS = 5_000;

/**
 * Age at which the server forgets a record by itself: marks of ended entries, and keys of devices that are no more.
 * Watchers hear nothing of it (nats-server 2.9), which is why leases end by sweeping and not by this.
 */
const BUCKET_TTL_MS = 24 * 3_600_000;

/** Wait before an observation that ended is begun again. */
const OBSERVE_AGAIN_MS = 1_000;

/** The bucket that records live in; made at first use. */
export interface BucketOptions {
  readonly bucket: string;
  /** Copies in a cluster: 1, 3 or 5. */
  readonly replicas: number;
}

/** Records in a JetStream key-value bucket. */
export class NatsRecordStore implements RecordStore {
  readonly #session: NatsSession;
  readonly #options: BucketOptions;
  #opened: { readonly connection: NatsConnection; readonly kv: Promise<KV> } | undefined;

  constructor(session: NatsSession, options: BucketOptions) {
    this.#session = session;
    this.#options = options;
  }

  read(key: string): Promise<RecordVersion> {
    return this.#attempt(async (kv) => {
      const entry = await kv.get(key);
      return entry === null ? { key, revision: 0, record: undefined } : toVersion(entry);
    });
  }

  write(key: string, record: SoftStateRecord, revision: number): Promise<boolean> {
    return this.#attempt(async (kv) => {
      try {
        await kv.put(key, encodeEnvelope(record), {
          previousSeq: revision,
          timeout: REQUEST_TIMEOUT_MS,
        });
        return true;
      } catch (error) {
        if (isWrongRevision(error)) return false;
        throw error;
      }
    });
  }

  readAll(pattern: string): Promise<RecordVersion[]> {
    return this.#attempt(async (kv, connection) => {
      const isWhole = untilCut(this.#session, connection);
      // The bucket keeps one value per key, so its history is its contents.
      const versions: RecordVersion[] = [];
      let pending = 0;
      for await (const entry of await kv.history({ key: pattern })) {
        versions.push(toVersion(entry));
        pending = entry.delta ?? 0;
      }
      // An iterator that a lost connection cut short ends like a complete one.
      if (!isWhole() || pending !== 0) throw new Error('the contents were not read to the end');
      return versions;
    });
  }

  observe(pattern: string, observer: RecordObserver): () => void {
    const stop = new AbortController();
    const unlisten = this.#session.onStatus((status) => {
      if (status === 'connected') observer.missed();
    });
    void this.#observeUntil(stop.signal, pattern, observer);
    return () => {
      unlisten();
      stop.abort();
    };
  }

  async #observeUntil(
    signal: AbortSignal,
    pattern: string,
    observer: RecordObserver,
  ): Promise<void> {
    while (!signal.aborted) {
      await this.#observeOnce(signal, pattern, observer).catch(() => undefined);
      await this.#session.clock.wait(OBSERVE_AGAIN_MS, signal);
    }
  }

  async #observeOnce(
    signal: AbortSignal,
    pattern: string,
    observer: RecordObserver,
  ): Promise<void> {
    const changes = await this.#attempt((kv) =>
      kv.watch({ key: pattern, include: KvWatchInclude.UpdatesOnly }),
    );
    const stop = (): void => changes.stop();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    observer.missed();
    for await (const entry of changes) observer.changed(toVersion(entry));
    signal.removeEventListener('abort', stop);
  }

  async #attempt<T>(work: (kv: KV, connection: NatsConnection) => Promise<T>): Promise<T> {
    const connection = this.#session.connected;
    if (connection === undefined) throw new SoftStateUnavailableError('NATS is not connected');
    try {
      return await work(await this.#open(connection), connection);
    } catch (cause) {
      // The bucket may have gone with the server's disk; the next attempt makes it again.
      this.#opened = undefined;
      throw new SoftStateUnavailableError('the bucket in NATS cannot be used', { cause });
    }
  }

  #open(connection: NatsConnection): Promise<KV> {
    if (this.#opened?.connection === connection) return this.#opened.kv;
    const manager = new Kvm(jetstream(connection, { timeout: REQUEST_TIMEOUT_MS }));
    const { bucket, replicas } = this.#options;
    const kv = manager.create(bucket, {
      history: 1,
      ttl: BUCKET_TTL_MS,
      replicas,
      allow_direct: false,
    });
    this.#opened = { connection, kv };
    return kv;
  }
}

/** Bytes that somebody else wrote count as absent; the next put replaces them. */
function toVersion(entry: KvEntry | KvWatchEntry): RecordVersion {
  const { key, revision } = entry;
  if (entry.operation !== 'PUT') return { key, revision, record: undefined };
  try {
    return { key, revision, record: parseEnvelope(entry.value) };
  } catch (error) {
    if (error instanceof InvalidEnvelopeError) return { key, revision, record: undefined };
    throw error;
  }
}

/** A question that is answered with false once the connection was lost, even for a moment. */
function untilCut(session: NatsSession, connection: NatsConnection): () => boolean {
  let wasCut = false;
  const unlisten = session.onStatus(() => {
    wasCut = true;
  });
  return () => {
    unlisten();
    return !wasCut && session.connected === connection;
  };
}

function isWrongRevision(error: unknown): boolean {
  return (
    error instanceof JetStreamApiError &&
    (error.code === JetStreamApiCodes.StreamWrongLastSequence ||
      error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown)
  );
}

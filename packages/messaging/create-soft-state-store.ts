import type { Clock } from '@nexodus/clock';

import { InProcessRecordStore } from './in-process-record-store.ts';
import { sessionOf } from './nats-link.ts';
import type { NatsLink } from './nats-link.ts';
import { NatsRecordStore } from './nats-record-store.ts';
import type { RecordStore } from './record-store.ts';
import { entryOf, recordDelete, recordExpiry, recordPut } from './soft-state-record.ts';
import type { SoftStateRecord } from './soft-state-record.ts';
import { SoftStateUnavailableError } from './soft-state-store.ts';
import type { SoftStateChange, SoftStateEntry, SoftStateStore } from './soft-state-store.ts';
import { watchRecords } from './soft-state-watch.ts';
import { requireSubject } from './subject.ts';

/** What both stores need. */
export interface SoftStateOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1), for the waits after a conflict. */
  readonly random: () => number;
  /** Time between two readings of everything by a watch; 30,000 by default (protocol, section 2). */
  readonly rereadMs?: number;
}

const DEFAULT_REREAD_MS = 30_000;

/** Writers of one key are the few replicas a device has just moved between. */
const MAX_ATTEMPTS = 16;
const RETRY_BASE_MS = 2;
const RETRY_MAX_MS = 200;

/** Soft state in the memory of this process. */
export function createInProcessSoftStateStore(options: SoftStateOptions): SoftStateStore {
  return new RecordSoftStateStore(new InProcessRecordStore(() => options.clock.now()), options);
}

/** Soft state in a JetStream bucket, which is made when it is missing; `replicas` is 1 by default. */
export function createNatsSoftStateStore(
  link: NatsLink,
  options: SoftStateOptions & { readonly bucket: string; readonly replicas?: number },
): SoftStateStore {
  const { bucket, replicas = 1 } = options;
  return new RecordSoftStateStore(
    new NatsRecordStore(sessionOf(link), { bucket, replicas }),
    options,
  );
}

class RecordSoftStateStore implements SoftStateStore {
  readonly #store: RecordStore;
  readonly #options: SoftStateOptions;

  constructor(store: RecordStore, options: SoftStateOptions) {
    this.#store = store;
    this.#options = options;
  }

  async put(entry: SoftStateEntry): Promise<'stored' | 'stale'> {
    return (await this.#change(entry.key, (current) => recordPut(current, entry)))
      ? 'stored'
      : 'stale';
  }

  async delete(key: string, epoch: bigint): Promise<'deleted' | 'stale'> {
    return (await this.#change(key, (current) => recordDelete(current, epoch)))
      ? 'deleted'
      : 'stale';
  }

  async get(key: string): Promise<SoftStateEntry | undefined> {
    requireSubject(key);
    return entryOf(key, (await this.#store.read(key)).record);
  }

  async list(prefix: string): Promise<SoftStateEntry[]> {
    const versions = await this.#store.readAll(patternOf(prefix));
    return versions.flatMap(({ key, record }) => entryOf(key, record) ?? []);
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<SoftStateChange> {
    const { clock, rereadMs = DEFAULT_REREAD_MS } = this.#options;
    return watchRecords({
      store: this.#store,
      pattern: patternOf(prefix),
      clock,
      rereadMs,
      signal,
    });
  }

  async sweep(now: number): Promise<string[]> {
    const swept: string[] = [];
    for (const { key, record } of await this.#store.readAll('>')) {
      if (recordExpiry(record, now) === undefined) continue;
      if (await this.#change(key, (current) => recordExpiry(current, now))) swept.push(key);
    }
    return swept;
  }

  /** Compares and sets until it succeeds; false when `next` finds nothing to do. */
  async #change(
    key: string,
    next: (current: SoftStateRecord | undefined) => SoftStateRecord | undefined,
  ): Promise<boolean> {
    requireSubject(key);
    const { clock, random } = this.#options;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const { record, revision } = await this.#store.read(key);
      const replacement = next(record);
      if (replacement === undefined) return false;
      if (await this.#store.write(key, replacement, revision)) return true;
      await clock.wait(random() * Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** attempt));
    }
    throw new SoftStateUnavailableError(`${MAX_ATTEMPTS} writes of one key met others`);
  }
}

function patternOf(prefix: string): string {
  if (prefix === '') return '>';
  requireSubject(prefix);
  return `${prefix}.>`;
}

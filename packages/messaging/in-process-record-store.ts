import type { RecordObserver, RecordStore, RecordVersion } from './record-store.ts';
import type { SoftStateRecord } from './soft-state-record.ts';
import { matchesSubject } from './subject.ts';

/** How long the mark of an ended entry stays, as in the NATS bucket. */
const MARK_TTL_MS = 24 * 3_600_000;

interface Stored extends RecordVersion {
  readonly writtenAt: number;
}

/** Records in memory. */
export class InProcessRecordStore implements RecordStore {
  readonly #now: () => number;
  readonly #records = new Map<string, Stored>();
  readonly #observers = new Set<{ readonly pattern: string; readonly observer: RecordObserver }>();
  #revision = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  read(key: string): Promise<RecordVersion> {
    return Promise.resolve(this.#records.get(key) ?? { key, revision: 0, record: undefined });
  }

  write(key: string, record: SoftStateRecord, revision: number): Promise<boolean> {
    if ((this.#records.get(key)?.revision ?? 0) !== revision) return Promise.resolve(false);
    this.#revision += 1;
    const kept = { ...record, value: new Uint8Array(record.value) };
    const stored = { key, revision: this.#revision, record: kept, writtenAt: this.#now() };
    this.#records.set(key, stored);
    for (const { pattern, observer } of this.#observers) {
      if (matchesSubject(pattern, key)) observer.changed(stored);
    }
    return Promise.resolve(true);
  }

  readAll(pattern: string): Promise<RecordVersion[]> {
    this.#forgetOldMarks();
    return Promise.resolve(
      [...this.#records.values()].filter(({ key }) => matchesSubject(pattern, key)),
    );
  }

  observe(pattern: string, observer: RecordObserver): () => void {
    const registration = { pattern, observer };
    this.#observers.add(registration);
    return () => void this.#observers.delete(registration);
  }

  #forgetOldMarks(): void {
    const oldest = this.#now() - MARK_TTL_MS;
    for (const [key, { record, writtenAt }] of this.#records) {
      if (record?.isLive !== true && writtenAt < oldest) this.#records.delete(key);
    }
  }
}

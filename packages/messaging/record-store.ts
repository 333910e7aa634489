import type { SoftStateRecord } from './soft-state-record.ts';

/** A record with the revision its key had when it was read. Revisions of a key only grow. */
export interface RecordVersion {
  readonly key: string;
  readonly revision: number;
  readonly record: SoftStateRecord | undefined;
}

/** Takes changes of records as they happen. */
export interface RecordObserver {
  /** A record was written. */
  changed(version: RecordVersion): void;
  /** Changes may have been missed. */
  missed(): void;
}

/** Versioned records: what the soft-state store needs of a technology. */
export interface RecordStore {
  /** The current record; revision 0 if the key was never written. */
  read(key: string): Promise<RecordVersion>;
  /** Replaces the record if the key is still at `revision`; false if it is not. */
  write(key: string, record: SoftStateRecord, revision: number): Promise<boolean>;
  /** The current records whose keys match `pattern`, all of them or a rejection. */
  readAll(pattern: string): Promise<RecordVersion[]>;
  /** Reports changes of keys that match `pattern` until the returned function is called. */
  observe(pattern: string, observer: RecordObserver): () => void;
}

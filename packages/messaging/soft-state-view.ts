import type { RecordVersion } from './record-store.ts';
import { entryOf } from './soft-state-record.ts';
import type { SoftStateChange } from './soft-state-store.ts';

interface Known {
  readonly revision: number;
  readonly isLive: boolean;
}

/**
 * What a watcher has been told, and what it has not been told yet. Single changes and whole readings may come in any
 * order and repeatedly; revisions say which is newer. Of the changes of a key that were not taken yet only the last is
 * kept, so what is pending never exceeds the number of keys.
 */
export class SoftStateView {
  readonly #known = new Map<string, Known>();
  readonly #pending = new Map<string, SoftStateChange>();

  /** Takes one version in; an older one than known is ignored. */
  observe(version: RecordVersion): void {
    const { key, revision } = version;
    const known = this.#known.get(key);
    if (known !== undefined && known.revision >= revision) return;
    const entry = entryOf(key, version.record);
    this.#known.set(key, { revision, isLive: entry !== undefined });
    if (entry !== undefined) this.#queue({ kind: 'put', entry });
    else if (known?.isLive === true) this.#queue({ kind: 'delete', key });
  }

  /** The keys known before a reading of everything is begun; to be handed to `replace`. */
  keys(): readonly string[] {
    return [...this.#known.keys()];
  }

  /** Takes a reading of everything in: keys known before it was begun that are not in it have gone. */
  replace(versions: readonly RecordVersion[], keysBefore: readonly string[]): void {
    for (const version of versions) this.observe(version);
    const present = new Set(versions.map(({ key }) => key));
    for (const key of keysBefore) {
      if (present.has(key)) continue;
      if (this.#known.get(key)?.isLive === true) this.#queue({ kind: 'delete', key });
      this.#known.delete(key);
    }
  }

  /** The next change to tell, undefined when there is none. */
  take(): SoftStateChange | undefined {
    const [next] = this.#pending;
    if (next === undefined) return undefined;
    this.#pending.delete(next[0]);
    return next[1];
  }

  #queue(change: SoftStateChange): void {
    const key = change.kind === 'put' ? change.entry.key : change.key;
    this.#pending.delete(key);
    this.#pending.set(key, change);
  }
}

import type { Clock } from '@nexodus/clock';
import type { Part } from '@nexodus/lifecycle';
import type { Logger } from '@nexodus/telemetry';
import type { SessionNote, SessionStore } from './session-store.ts';
import { outsideTraces } from './trace-context.ts';

/** What a notebook needs. */
export interface SessionNotebookOptions {
  readonly store: Pick<SessionStore, 'note'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Time between two writings. */
  readonly intervalMs: number;
}

/** Collects what sessions leave in the database, and writes it in one statement every few seconds. */
export class SessionNotebook {
  readonly part: Part = {
    name: 'session notebook',
    start: () => {
      this.#running = outsideTraces(() => this.#keepWriting());
      return Promise.resolve();
    },
    stop: async () => {
      this.#stopping.abort();
      await this.#running;
      await this.#write();
    },
  };
  readonly #options: SessionNotebookOptions;
  readonly #stopping = new AbortController();
  #notes = new Map<string, SessionNote>();
  #running: Promise<void> | undefined;

  constructor(options: SessionNotebookOptions) {
    this.#options = options;
  }

  /** Keeps the newest note of each device for the next writing. */
  add(note: SessionNote): void {
    const kept = this.#notes.get(note.deviceId);
    if (kept !== undefined && kept.epoch > note.epoch) return;
    const earlier = kept?.epoch === note.epoch ? kept.appliedRevision : undefined;
    const appliedRevision = note.appliedRevision ?? earlier;
    this.#notes.set(note.deviceId, { ...note, appliedRevision });
  }

  async #keepWriting(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.wait(intervalMs, signal);
      if (!signal.aborted) await this.#write();
    }
  }

  /** Notes that could not be written wait for the next time, unless newer ones came. */
  async #write(): Promise<void> {
    const notes = this.#notes;
    if (notes.size === 0) return;
    this.#notes = new Map();
    try {
      await this.#options.store.note([...notes.values()]);
    } catch (error) {
      this.#options.logger.warn({ error }, 'what devices applied could not be kept');
      for (const note of notes.values()) {
        if (!this.#notes.has(note.deviceId)) this.#notes.set(note.deviceId, note);
      }
    }
  }
}

import type { Clock } from '@nexodus/clock';
import type { ViewEntry } from '@nexodus/contracts/agent';

/** The peers whose soft state one stream still has to be told: by id only, so that the newest is what goes out. */
export class PeerNews {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #changed = new Set<string>();
  #dueAtMs = Infinity;

  /** @param delayMs what changes within this time goes out together */
  constructor(clock: Clock, delayMs: number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  /** When something has to be told, on the monotonic clock; Infinity for nothing. */
  get dueAtMs(): number {
    return this.#dueAtMs;
  }

  /** The soft state of a peer is news. */
  note(peerId: string): void {
    this.#changed.add(peerId);
    if (this.#dueAtMs === Infinity) this.#dueAtMs = this.#clock.monotonicMs() + this.#delayMs;
  }

  /** A peer that comes into view is shown with its soft state. */
  noteShown(entries: readonly ViewEntry[]): void {
    for (const { key, value } of entries) {
      const peerId = /^peer\/(.+)$/.exec(key)?.[1];
      if (peerId !== undefined && value.length > 0) this.note(peerId);
    }
  }

  /** Whose state has to be told now, once; nobody before it is due. */
  take(): string[] {
    if (this.#clock.monotonicMs() < this.#dueAtMs) return [];
    this.#dueAtMs = Infinity;
    const peerIds = [...this.#changed];
    this.#changed.clear();
    return peerIds;
  }
}

import type { BusStatus } from './message-bus.ts';

/** A status and those who want to hear of its changes. */
export class StatusSource {
  readonly #listeners = new Set<(status: BusStatus) => void>();
  #current: BusStatus;

  constructor(initial: BusStatus) {
    this.#current = initial;
  }

  get current(): BusStatus {
    return this.#current;
  }

  /** Tells the listeners if the status changes; `closed` is final. */
  set(status: BusStatus): void {
    if (this.#current === status || this.#current === 'closed') return;
    this.#current = status;
    for (const listener of this.#listeners) listener(status);
  }

  listen(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

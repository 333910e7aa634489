import type { DatagramFate } from './udp-lane.ts';

/** Counts datagrams by what became of them. */
export class DatagramCounts {
  readonly #counts: Record<DatagramFate, number> = {
    forwarded: 0,
    answered: 0,
    limit: 0,
    unsent: 0,
    'not-wireguard': 0,
    mac1: 0,
    rate: 0,
    'unknown-source': 0,
    'no-destination': 0,
    'no-initiation': 0,
    'registration-refused': 0,
    'registration-replayed': 0,
  };

  add(fate: DatagramFate, datagrams: number): void {
    this.#counts[fate] += datagrams;
  }

  /** All counts; `unsent` is counted by the loop that sends. */
  snapshot(unsent: number): Readonly<Record<DatagramFate, number>> {
    return { ...this.#counts, unsent };
  }
}

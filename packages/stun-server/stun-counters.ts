import { type Verdict, VERDICTS } from '@nexodus/stun-responder';

/** What became of the datagrams, by verdict, and answers that were not sent. */
export type StunCounts = Readonly<Record<keyof typeof VERDICTS | 'unsent', number>>;

const VERDICT_COUNT = Object.keys(VERDICTS).length;
const UNSENT = VERDICT_COUNT;
const PLACES = VERDICT_COUNT + 1;

/**
 * Counts of several threads in shared memory: each writes its own part and the main thread reads all. A figure that is
 * read while it is written is the one before or the one after.
 */
export class StunCounters {
  /** To be handed to threads. */
  readonly storage: SharedArrayBuffer;
  readonly #counts: Float64Array;

  constructor(storage: SharedArrayBuffer) {
    this.storage = storage;
    this.#counts = new Float64Array(storage);
  }

  /** Zero counts for so many threads. */
  static of(threads: number): StunCounters {
    return new StunCounters(new SharedArrayBuffer(threads * PLACES * 8));
  }

  /** Counts a datagram of a thread. */
  decided(thread: number, verdict: Verdict): void {
    const place = thread * PLACES + verdict;
    this.#counts[place] = (this.#counts[place] ?? 0) + 1;
  }

  /** Sets what a thread could not send since its start. */
  unsent(thread: number, count: number): void {
    this.#counts[thread * PLACES + UNSENT] = count;
  }

  /** The sums over all threads. */
  read(): StunCounts {
    const sumAt = (offset: number): number => {
      let sum = 0;
      for (let at = offset; at < this.#counts.length; at += PLACES) sum += this.#counts[at] ?? 0;
      return sum;
    };
    const byVerdict = Object.entries(VERDICTS).map(([name, verdict]) => [name, sumAt(verdict)]);
    // One entry for each verdict, and that of what was not sent.
    return { ...Object.fromEntries(byVerdict), unsent: sumAt(UNSENT) } as StunCounts;
  }
}

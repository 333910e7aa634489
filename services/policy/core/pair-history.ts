import { combineChanges, type DevicePair, type PairChanges, PairSet } from './device-pair.ts';

/** What happened to the pairs between two revisions. Usually one revision; more after a reconnect. */
interface Span {
  /** Revision before the span. */
  readonly after: bigint;
  /** Last revision of the span. */
  readonly to: bigint;
  readonly changes: PairChanges;
}

/** How much of the past is kept of each VPC. */
export interface HistoryLimits {
  /** Revisions at most. */
  readonly maxRevisions: number;
  /** Changes of pairs at most, in all kept revisions. */
  readonly maxPairs: number;
}

/** The changes of pairs of one VPC, as far back as they are kept. */
export class PairHistory {
  readonly #limits: HistoryLimits;
  #head: bigint;
  #spans: Span[] = [];
  #pairs = 0;

  /** @param start revision at which the history begins */
  constructor(start: bigint, limits: HistoryLimits) {
    this.#head = start;
    this.#limits = limits;
  }

  /** The newest revision. */
  get head(): bigint {
    return this.#head;
  }

  /** Adds what happened from the head to a later revision, and drops what is too old; never what it adds. */
  add(to: bigint, changes: PairChanges): void {
    this.#spans.push({ after: this.#head, to, changes });
    this.#head = to;
    this.#pairs += sizeOf(changes);
    let dropped = 0;
    while (this.#isOverfull(dropped) && dropped < this.#spans.length - 1) {
      this.#pairs -= sizeOf(this.#spans[dropped]?.changes ?? { shown: [], hidden: [] });
      dropped += 1;
    }
    if (dropped > 0) this.#spans = this.#spans.slice(dropped);
  }

  /** What happened in (from, to]; undefined where that is not kept, or begins or ends inside a span. */
  between(from: bigint, to: bigint): PairChanges | undefined {
    if (from === to) return this.#knows(from) ? { shown: [], hidden: [] } : undefined;
    const first = this.#spans.findLastIndex(({ after }) => after === from);
    const last = this.#spans.findLastIndex((span) => span.to === to);
    if (first === -1 || last === -1) return undefined;
    return combineChanges(this.#spans.slice(first, last + 1).map(({ changes }) => changes));
  }

  /** The pairs at an earlier revision, from those at the head; undefined as for `between`. */
  undo(current: PairSet, to: bigint): DevicePair[] | undefined {
    const since = this.between(to, this.head);
    if (since === undefined) return undefined;
    const shown = new PairSet();
    for (const pair of since.shown) shown.add(pair);
    return [...[...current].filter((pair) => !shown.has(pair)), ...since.hidden];
  }

  #knows(revision: bigint): boolean {
    return (
      revision === this.head ||
      this.#spans.some(({ after, to }) => after === revision || to === revision)
    );
  }

  #isOverfull(dropped: number): boolean {
    const { maxRevisions, maxPairs } = this.#limits;
    return this.#spans.length - dropped > maxRevisions || this.#pairs > maxPairs;
  }
}

function sizeOf({ shown, hidden }: PairChanges): number {
  return shown.length + hidden.length;
}

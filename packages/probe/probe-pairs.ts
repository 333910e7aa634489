import type { ProbePair } from './probe-pair.ts';

/** A pair and the peer it is shared with. */
interface KnownPair {
  readonly peerId: string;
  readonly pair: ProbePair;
}

/** The pairs of a device, found by peer or by the tag that the peer's probes carry. */
export class ProbePairs {
  readonly #byPeer = new Map<string, KnownPair>();
  readonly #byTag = new Map<number, readonly KnownPair[]>();

  /** The pair with a peer. */
  get(peerId: string): ProbePair | undefined {
    return this.#byPeer.get(peerId)?.pair;
  }

  /** Those whose peer's probes carry this tag: none, one, or rarely more. */
  withTag(tag: number): readonly KnownPair[] | undefined {
    return this.#byTag.get(tag);
  }

  /** Adds the pair with a peer, in place of the one before. */
  set(peerId: string, pair: ProbePair): void {
    this.delete(peerId);
    const known = { peerId, pair };
    this.#byPeer.set(peerId, known);
    const { tag } = pair.incoming;
    this.#byTag.set(tag, [...(this.#byTag.get(tag) ?? []), known]);
  }

  /** Forgets the pair with a peer. */
  delete(peerId: string): void {
    const known = this.#byPeer.get(peerId);
    if (known === undefined) return;
    this.#byPeer.delete(peerId);
    const { tag } = known.pair.incoming;
    const rest = (this.#byTag.get(tag) ?? []).filter((other) => other !== known);
    if (rest.length > 0) this.#byTag.set(tag, rest);
    else this.#byTag.delete(tag);
  }
}

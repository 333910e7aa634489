/** Two devices that see each other; `first` is the lesser id. */
export interface DevicePair {
  readonly first: string;
  readonly second: string;
}

/** Pairs that begin and cease to see each other. No pair is in both. */
export interface PairChanges {
  readonly shown: readonly DevicePair[];
  readonly hidden: readonly DevicePair[];
}

/** The pair of two devices in either order. */
export function pairOf(left: string, right: string): DevicePair {
  return left < right ? { first: left, second: right } : { first: right, second: left };
}

/** A set of pairs. */
export class PairSet {
  readonly #seconds = new Map<string, Map<string, DevicePair>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has({ first, second }: DevicePair): boolean {
    return this.#seconds.get(first)?.has(second) === true;
  }

  add(pair: DevicePair): void {
    const seconds = this.#seconds.get(pair.first) ?? new Map<string, DevicePair>();
    if (seconds.has(pair.second)) return;
    this.#seconds.set(pair.first, seconds.set(pair.second, pair));
    this.#size += 1;
  }

  /** Takes a pair out; whether it was in. */
  delete({ first, second }: DevicePair): boolean {
    const seconds = this.#seconds.get(first);
    if (seconds?.delete(second) !== true) return false;
    if (seconds.size === 0) this.#seconds.delete(first);
    this.#size -= 1;
    return true;
  }

  *[Symbol.iterator](): Generator<DevicePair, void, undefined> {
    for (const seconds of this.#seconds.values()) yield* seconds.values();
  }
}

/** What leads from one set of pairs to another. */
export function pairChanges(before: PairSet, after: PairSet): PairChanges {
  return {
    shown: [...after].filter((pair) => !before.has(pair)),
    hidden: [...before].filter((pair) => !after.has(pair)),
  };
}

/** What several changes, oldest first, amount to: what was shown and hidden again cancels. */
export function combineChanges(changes: Iterable<PairChanges>): PairChanges {
  const shown = new PairSet();
  const hidden = new PairSet();
  for (const change of changes) {
    for (const pair of change.hidden) if (!shown.delete(pair)) hidden.add(pair);
    for (const pair of change.shown) if (!hidden.delete(pair)) shown.add(pair);
  }
  return { shown: [...shown], hidden: [...hidden] };
}

import type { VisiblePair } from '@nexodus/contracts/policy';

/** What policy answered for an interval. */
export type PolicyAnswer =
  /** What began and what ceased over the interval. */
  | {
      readonly kind: 'difference';
      readonly shown: readonly VisiblePair[];
      readonly hidden: readonly VisiblePair[];
    }
  /** All that holds at its end. */
  | { readonly kind: 'whole'; readonly shown: readonly VisiblePair[] };

const NOBODY: ReadonlySet<string> = new Set();

/** Who sees whom in a VPC, as policy last said. Symmetric. */
export class Visibility {
  readonly #neighbours = new Map<string, Set<string>>();

  /** The devices that see this one and that it sees. */
  of(deviceId: string): ReadonlySet<string> {
    return this.#neighbours.get(deviceId) ?? NOBODY;
  }

  /** Whether two devices see each other. */
  has(left: string, right: string): boolean {
    return this.of(left).has(right);
  }

  /**
   * Takes an answer in, and returns the pairs that it turned over. Pairs with a device that does not exist are left out:
   * who is not known is not shown.
   */
  apply(answer: PolicyAnswer, exists: (deviceId: string) => boolean): VisiblePair[] {
    const isReal = ({ firstDeviceId, secondDeviceId }: VisiblePair): boolean =>
      firstDeviceId !== secondDeviceId && exists(firstDeviceId) && exists(secondDeviceId);
    const shown = answer.shown.filter(isReal);
    const hidden = answer.kind === 'whole' ? this.#allBut(shown) : answer.hidden;
    return [
      ...hidden.filter((pair) => this.#set(pair, false)),
      ...shown.filter((pair) => this.#set(pair, true)),
    ];
  }

  /** Forgets a device, and returns the pairs that went with it. */
  drop(deviceId: string): VisiblePair[] {
    const pairs = [...this.of(deviceId)].map((peer) => pairOf(deviceId, peer));
    for (const pair of pairs) this.#set(pair, false);
    return pairs;
  }

  /** Returns whether anything changed. */
  #set({ firstDeviceId, secondDeviceId }: VisiblePair, isShown: boolean): boolean {
    if (this.has(firstDeviceId, secondDeviceId) === isShown) return false;
    this.#setOneWay(firstDeviceId, secondDeviceId, isShown);
    this.#setOneWay(secondDeviceId, firstDeviceId, isShown);
    return true;
  }

  #setOneWay(from: string, to: string, isShown: boolean): void {
    const peers = this.#neighbours.get(from) ?? new Set();
    if (isShown) peers.add(to);
    else peers.delete(to);
    if (peers.size === 0) this.#neighbours.delete(from);
    else this.#neighbours.set(from, peers);
  }

  #allBut(kept: readonly VisiblePair[]): VisiblePair[] {
    const keys = new Set(kept.map(pairKey));
    const pairs: VisiblePair[] = [];
    for (const [from, peers] of this.#neighbours) {
      for (const to of peers) if (from < to) pairs.push(pairOf(from, to));
    }
    return pairs.filter((pair) => !keys.has(pairKey(pair)));
  }
}

/** A pair with the lesser id first. */
export function pairOf(left: string, right: string): VisiblePair {
  return left < right
    ? { firstDeviceId: left, secondDeviceId: right }
    : { firstDeviceId: right, secondDeviceId: left };
}

/** Text that names a pair, whichever way round it is. */
export function pairKey({ firstDeviceId, secondDeviceId }: VisiblePair): string {
  return firstDeviceId < secondDeviceId
    ? `${firstDeviceId}/${secondDeviceId}`
    : `${secondDeviceId}/${firstDeviceId}`;
}

/** A range of UDP ports, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** The two ports of a session, by side. */
export type PortPair = readonly [number, number];

/**
 * The ports of a relay. Each is given out again as late as possible: what is still on its way to an ended session then
 * finds nobody.
 */
export class PortPool {
  /** Number of pairs when all are free. */
  readonly capacity: number;
  /** Free ports, the longest unused first, from `#head` on. */
  #free: number[];
  #head = 0;

  constructor({ first, last }: PortRange) {
    this.#free = Array.from({ length: last - first + 1 }, (_unused, index) => first + index);
    this.capacity = Math.floor(this.#free.length / 2);
  }

  /** Number of free pairs. */
  get freePairs(): number {
    return Math.floor((this.#free.length - this.#head) / 2);
  }

  /** Takes two ports; undefined where there are none. */
  take(): PortPair | undefined {
    const [a, b] = [this.#free[this.#head], this.#free[this.#head + 1]];
    if (a === undefined || b === undefined) return undefined;
    this.#head += 2;
    if (this.#head > 1_024 && this.#head * 2 > this.#free.length) {
      this.#free = this.#free.slice(this.#head);
      this.#head = 0;
    }
    return [a, b];
  }

  /** Gives ports back, to be used again after all others. */
  give(ports: PortPair): void {
    this.#free.push(...ports);
  }
}

/** A session whose packets went by a lane within this time is in use: devices keep it warm every 15 to 20 s. */
const ACTIVE_MS = 60_000;

/** Which pairs of keys had traffic lately. Instants are of one monotonic clock. */
export class PairActivity {
  readonly #atMs = new Map<string, number>();

  /** Notes traffic of pairs, in whichever direction, and forgets what is long past. */
  note(pairs: Iterable<readonly [Uint8Array, Uint8Array]>, nowMs: number): void {
    for (const [left, right] of pairs) this.#atMs.set(pairText(left, right), nowMs);
    for (const [pair, atMs] of this.#atMs) if (nowMs - atMs >= ACTIVE_MS) this.#atMs.delete(pair);
  }

  /** Whether the pair had traffic lately. */
  isActive(left: Uint8Array, right: Uint8Array, nowMs: number): boolean {
    return nowMs - (this.#atMs.get(pairText(left, right)) ?? -Infinity) < ACTIVE_MS;
  }
}

function pairText(left: Uint8Array, right: Uint8Array): string {
  const texts = [left, right].map((key) => Buffer.from(key).toString('latin1')).sort();
  return texts.join('');
}

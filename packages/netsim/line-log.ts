/** Lines kept per program; the oldest are forgotten first. */
const KEPT_LINES = 50_000;

/** Splits chunks of text into lines, keeps them, and lets any number of readers follow. */
export class LineLog {
  readonly #kept: string[] = [];
  #forgotten = 0;
  readonly #partials = new Map<string, string>();
  #isEnded = false;
  #changed = Promise.withResolvers<void>();

  /** Lines seen so far, forgotten ones included. */
  get lineCount(): number {
    return this.#forgotten + this.#kept.length;
  }

  /** The last `count` lines, oldest first. */
  tail(count: number): readonly string[] {
    return this.#kept.slice(-count);
  }

  /** Takes a chunk as the program wrote it; unfinished lines wait for the rest from the same source. */
  append(source: string, chunk: string): void {
    const pieces = ((this.#partials.get(source) ?? '') + chunk).split('\n');
    this.#partials.set(source, pieces.pop() ?? '');
    if (pieces.length === 0) return;
    this.#kept.push(...pieces.map((line) => line.replace(/\r$/, '')));
    const surplus = this.#kept.length - KEPT_LINES;
    if (surplus > 0) {
      this.#kept.splice(0, surplus);
      this.#forgotten += surplus;
    }
    this.#announce();
  }

  /** Says that nothing follows; an unfinished line counts as a line. */
  end(): void {
    if (this.#isEnded) return;
    for (const [source, partial] of this.#partials) {
      if (partial !== '') this.append(source, '\n');
    }
    this.#isEnded = true;
    this.#announce();
  }

  /** Lines from position `from` (default: the oldest kept), then each as it comes, until the end. */
  async *lines(from = 0): AsyncGenerator<string, void, undefined> {
    let next = from;
    for (;;) {
      const changed = this.#changed.promise;
      next = Math.max(next, this.#forgotten);
      const line = this.#kept[next - this.#forgotten];
      if (line !== undefined) {
        next += 1;
        yield line;
      } else if (this.#isEnded) {
        return;
      } else {
        await changed;
      }
    }
  }

  #announce(): void {
    const announced = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    announced.resolve();
  }
}

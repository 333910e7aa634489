/** A measurement that `npm run bench -- NAME` runs. */
export interface Bench {
  /** What it measures, in one line. */
  readonly summary: string;
  /**
   * Measures and gives what to print.
   *
   * @throws {RangeError} for arguments that it does not take
   */
  readonly run: (frame: BenchFrame) => Promise<string>;
}

/** What a measurement is given. */
export interface BenchFrame {
  /** Arguments behind the name. */
  readonly args: readonly string[];
  /** Tells people what is going on. */
  readonly report: (step: string) => void;
  /** When it aborts, everything that was started is stopped, and the run fails. */
  readonly signal: AbortSignal;
}

/** A timer that was set and may be cancelled. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/** Time as the parts of a process see it. Everything that waits or stamps takes one, so that tests can move time. */
export interface Clock {
  /** Milliseconds since the Unix epoch; may jump when somebody sets the machine's clock. */
  now(): number;
  /** Milliseconds on a clock that never goes back; for durations and deadlines. */
  monotonicMs(): number;
  /** Calls `fire` once, at least `delayMs` from now. The timer does not keep the process alive. */
  setTimer(delayMs: number, fire: () => void): Timer;
  /** Resolves after `delayMs`, or at once (without an error) when the signal is aborted. */
  wait(delayMs: number, signal?: AbortSignal): Promise<void>;
}

import type { Clock } from '@nexodus/clock';

/** How often and how fast something is tried again. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly maxAttempts: number;
  /** Upper bound of the wait after the first failure; doubles with each. */
  readonly baseDelayMs: number;
  /** Upper bound of any wait. */
  readonly maxDelayMs: number;
}

/** What deciding and waiting need. */
export interface RetryOptions {
  readonly policy: RetryPolicy;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly isRetryable: (error: unknown) => boolean;
  readonly signal?: AbortSignal;
}

/**
 * Runs `attempt` until it succeeds, fails for good, or has failed `maxAttempts` times; rejects with its last error. The
 * wait is drawn anew each time between 0 and the bound, so that two transactions that met once do not meet again.
 */
export async function withRetry<T>(
  attempt: (number: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { policy, clock, random, isRetryable, signal } = options;
  for (let number = 1; ; number += 1) {
    try {
      signal?.throwIfAborted();
      return await attempt(number);
    } catch (error) {
      if (number >= policy.maxAttempts || !isRetryable(error)) throw error;
    }
    const boundMs = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (number - 1));
    await clock.wait(random() * boundMs, signal);
  }
}

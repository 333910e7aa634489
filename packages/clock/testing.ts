/** How `eventually` polls. */
export interface EventuallyOptions {
  /** Gives up after this long. Default 10,000. */
  timeoutMs?: number;
  /** Time between two attempts. Default 20. */
  intervalMs?: number;
}

/**
 * Repeats an attempt until it neither throws nor returns false, and returns what it returned.
 *
 * @throws the last attempt's error, or an error that names the deadline, when time is up
 */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 20 }: EventuallyOptions = {},
): Promise<Exclude<T, false>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      const result = await attempt();
      // Narrowing a type parameter by comparison is beyond the compiler.
      if (result !== false) return result as Exclude<T, false>;
      if (performance.now() > deadline) throw new Error(`not so after ${timeoutMs} ms`);
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

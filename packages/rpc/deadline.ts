/**
 * Deadlines that shrink from hop to hop.
 *
 * A client tells the server how long it will wait, in the `nexodus-timeout-ms` metadata; calls that a handler makes get
 * at most that, less a margin, so that the inner call fails before the outer one and its error is still of use.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Metadata that carries the remaining time, in milliseconds. */
export const timeoutMetadata = 'nexodus-timeout-ms';

/** Time kept back at each hop for the answer's way, in milliseconds. */
const hopMarginMs = 50;

/** Longest time that a caller may ask for, in milliseconds. */
const longestTimeoutMs = 600_000;

const deadlines = new AsyncLocalStorage<number>();

/** Reads the metadata; undefined for none or an unusable one. */
export function parseTimeout(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return undefined;
  return Math.min(Number(text), longestTimeoutMs);
}

/** The generator, each step of which runs under the deadline (milliseconds on the monotonic clock). */
export function underDeadline<T, R>(
  deadlineAt: number,
  generator: AsyncGenerator<T, R, undefined>,
): AsyncGenerator<T, R, undefined> {
  const bound: AsyncGenerator<T, R, undefined> = {
    next: () => deadlines.run(deadlineAt, () => generator.next()),
    return: (value) => deadlines.run(deadlineAt, () => generator.return(value)),
    throw: (error) => deadlines.run(deadlineAt, () => generator.throw(error)),
    [Symbol.asyncIterator]: () => bound,
    [Symbol.asyncDispose]: async () => {
      await generator.return(undefined as never); // the value of an abandoned generator is never read
    },
  };
  return bound;
}

/** How long a call made here may take: what was asked for, and no more than the enclosing call leaves. */
export function remainingTimeout(wantedMs: number): number {
  const deadlineAt = deadlines.getStore();
  if (deadlineAt === undefined) return wantedMs;
  return Math.max(1, Math.min(wantedMs, deadlineAt - performance.now() - hopMarginMs));
}

/** Messages on their way to the service, in order; an async iterable that one reader drains. */
export interface Outbox<T> extends AsyncIterable<T> {
  /** Adds a message; false when the box is full or ended: the service does not read, and the stream must end. */
  push(message: T): boolean;
  /** No more messages; what is in the box is still delivered. Idempotent. */
  end(): void;
}

/**
 * Messages that may wait. An agent says a few things a minute; more than this waiting means that nobody reads, and
 * memory would grow for nothing.
 */
const CAPACITY = 256;

/** Makes an empty box. */
export function createOutbox<T>(): Outbox<T> {
  const waiting: T[] = [];
  let isEnded = false;
  let wake = Promise.withResolvers<void>();
  async function* drain(): AsyncGenerator<T> {
    for (;;) {
      const message = waiting.shift();
      if (message !== undefined) yield message;
      else if (isEnded) return;
      else {
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    }
  }
  return {
    push: (message) => {
      if (isEnded || waiting.length >= CAPACITY) return false;
      waiting.push(message);
      wake.resolve();
      return true;
    },
    end: () => {
      isEnded = true;
      wake.resolve();
    },
    [Symbol.asyncIterator]: drain,
  };
}

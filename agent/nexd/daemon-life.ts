/** How the life of a daemon ends, in one order whoever ends it: the work settles first, then what it made is removed. */
export interface DaemonLife {
  /** Aborted when the work shall end. */
  readonly signal: AbortSignal;
  /** Whether the daemon was told to go down, and not only to end. */
  readonly isGoingDown: boolean;
  /**
   * Runs the work, which must end when the signal aborts. Resolves when it has settled and, where the daemon was told
   * to go down, when `remove` has too. An error of the work counts only while nobody ended it.
   *
   * @throws what the work or `remove` throws
   */
  run(work: () => Promise<void>): Promise<void>;
  /** Ends the work, waits until it has settled, and removes. At most once. @throws what `remove` throws */
  goDown(remove: () => Promise<void>): Promise<void>;
}

/** Makes the life of a daemon that ends when `signal` aborts, or when it is told to go down. */
export function createDaemonLife(signal: AbortSignal): DaemonLife {
  const ending = new AbortController();
  const either = AbortSignal.any([signal, ending.signal]);
  const settled = Promise.withResolvers<void>();
  let removal: Promise<void> | undefined;
  return {
    signal: either,
    get isGoingDown() {
      return removal !== undefined;
    },
    run: async (work) => {
      try {
        await work();
      } catch (error) {
        if (!either.aborted) throw error;
      } finally {
        settled.resolve();
        await removal;
      }
    },
    goDown: (remove) => {
      if (removal !== undefined) throw new Error('The daemon is going down already');
      removal = settled.promise.then(remove);
      // Whoever waits for it hears of its failure; `run` may have ended before.
      removal.catch(() => {});
      ending.abort();
      return removal;
    },
  };
}

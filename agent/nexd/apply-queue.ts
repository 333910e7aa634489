/** Runs one task at a time, and once more when it was asked for again meanwhile. */
export interface ApplyQueue {
  /** Asks for a run that begins after this call; resolves when such a run has ended. */
  request(): Promise<void>;
  /** No run begins any more; resolves when the present one has ended. */
  stop(): Promise<void>;
}

/** @param task must not reject */
export function createApplyQueue(task: () => Promise<void>): ApplyQueue {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let isStopped = false;
  const run = (): Promise<void> => {
    running = (isStopped ? Promise.resolve() : task()).finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    request: () => {
      if (running === undefined) return run();
      next ??= running.then(() => {
        next = undefined;
        return run();
      });
      return next;
    },
    stop: async () => {
      isStopped = true;
      await (next ?? running);
    },
  };
}

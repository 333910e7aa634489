/**
 * Ordered start and stop.
 *
 * A process is a list of parts. They start one after the other, each when those before it are up, and stop in the
 * opposite order, so that a part may use what was started before it until its own stop has ended. A part that fails to
 * start stops those before it; a part that fails to stop does not keep the others from stopping.
 */

/** One thing that a process starts and stops. */
export interface Part {
  /** Name for logs and errors. */
  readonly name: string;
  /** Brings the part up; resolves when it serves. */
  start(): Promise<void>;
  /** Takes the part down; resolves when nothing of it is left. Called once, and only after a successful start. */
  stop(): Promise<void>;
}

/** Parts that are up. */
export interface RunningParts {
  /** Stops all, last first. Calling it again gives the same promise. */
  stop(): Promise<void>;
}

/**
 * Starts the parts in order.
 *
 * @throws the error of the part that did not start, after those before it were stopped
 */
export async function startParts(
  parts: readonly Part[],
  report: (event: {
    part: string;
    state: 'starting' | 'started' | 'stopping' | 'stopped';
  }) => void = () => {},
): Promise<RunningParts> {
  const started: Part[] = [];
  const stopAll = async (): Promise<void> => {
    const errors: unknown[] = [];
    for (const part of started.toReversed()) {
      report({ part: part.name, state: 'stopping' });
      await part.stop().catch((error: unknown) => errors.push(error));
      report({ part: part.name, state: 'stopped' });
    }
    if (errors.length > 0)
      throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'parts failed to stop');
  };
  for (const part of parts) {
    report({ part: part.name, state: 'starting' });
    try {
      await part.start();
    } catch (error) {
      await stopAll().catch(() => {});
      throw error;
    }
    started.push(part);
    report({ part: part.name, state: 'started' });
  }
  let stopping: Promise<void> | undefined;
  return { stop: () => (stopping ??= stopAll()) };
}

/**
 * Starts the parts, waits for SIGINT or SIGTERM, and stops them. A process that is asked to stop while it starts does so
 * once the parts that there are have started, and never says that it is ready. A second signal ends the process at once.
 */
export async function runParts(
  parts: readonly Part[],
  options: { report?: Parameters<typeof startParts>[1]; ready?: () => void } = {},
): Promise<void> {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const asked = Promise.withResolvers<void>();
  let count = 0;
  const onSignal = (): void => {
    count += 1;
    if (count > 1) process.exit(130);
    asked.resolve();
  };
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const running = await startParts(parts, options.report);
    if (count === 0) options.ready?.();
    await asked.promise;
    await running.stop();
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

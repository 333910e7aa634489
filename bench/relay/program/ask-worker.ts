import { startUdpWorker } from '@nexodus/udp-batch';

/** A thread with sockets that answers whatever it is told, one thing at a time. */
export interface AskedWorker<To, From> {
  /** @throws Error where it does not answer in time */
  ask(message: To, timeoutMs?: number): Promise<From>;
  stop(): Promise<void>;
}

/** Starts the thread. Where it fails, the process does. */
export async function startAskedWorker<To, From>(options: {
  readonly entry: URL;
  readonly receiveOffload: boolean;
  readonly data?: unknown;
}): Promise<AskedWorker<To, From>> {
  let answer: PromiseWithResolvers<From> | undefined;
  const worker = await startUdpWorker({
    entry: options.entry,
    adapter: 'koffi',
    loop: { receiveOffload: options.receiveOffload },
    data: options.data,
    onMessage: (message) => answer?.resolve(message as From), // the other end is typed alike
    onFailure: (error) => {
      process.stderr.write(`${error.stack ?? error.message}\n`);
      process.exit(1);
    },
  });
  return {
    ask: async (message, timeoutMs = 10_000) => {
      const asked = Promise.withResolvers<From>();
      answer = asked;
      worker.post(message);
      const timeout = setTimeout(() => asked.reject(new Error('no answer in time')), timeoutMs);
      try {
        return await asked.promise;
      } finally {
        clearTimeout(timeout);
      }
    },
    stop: () => worker.stop(),
  };
}

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { DgramUdpLoop } from './dgram-udp-loop.ts';
import { KoffiUdpLoop } from './koffi-udp-loop.ts';
import { type LinuxSystemCalls, loadLinuxSystemCalls } from './linux-system-calls.ts';
import { UdpUnsupportedError } from './udp-errors.ts';
import type { UdpProgram } from './udp-loop.ts';
import type { FromUdpWorker, ToUdpWorker, UdpWorkerData } from './udp-worker-protocol.ts';

/**
 * The body of a worker thread that `startUdpWorker` started: makes the program and runs it until it is told to stop.
 * With the adapter `koffi` nothing else runs in this thread meanwhile: no promise, no timer, no event.
 */
export async function runUdpWorker(program: UdpProgram): Promise<void> {
  // What startUdpWorker passes.
  const { udpWorker } = workerData as { udpWorker: UdpWorkerData };
  const calls = await wantedCalls(udpWorker.adapter);
  if (calls instanceof UdpUnsupportedError) await runOnDgram(program, udpWorker, calls);
  else runOnKoffi(program, udpWorker, calls);
  udpWorker.port.close();
}

async function wantedCalls(
  adapter: UdpWorkerData['adapter'],
): Promise<LinuxSystemCalls | UdpUnsupportedError> {
  if (adapter === 'dgram') return new UdpUnsupportedError('not wanted');
  try {
    return await loadLinuxSystemCalls();
  } catch (error) {
    if (adapter === 'auto' && error instanceof UdpUnsupportedError) return error;
    throw error;
  }
}

function tell(message: FromUdpWorker): void {
  parentPort?.postMessage(message);
}

function runOnKoffi(
  program: UdpProgram,
  { port, options, data }: UdpWorkerData,
  calls: LinuxSystemCalls,
): void {
  const loop = new KoffiUdpLoop(calls, options, {
    post: (message) => tell({ kind: 'message', message }),
    take: () => {
      const taken: { message: ToUdpWorker } | undefined = receiveMessageOnPort(port);
      return taken?.message.kind === 'stop' ? 'stop' : taken?.message;
    },
  });
  const handlers = program(loop, data);
  tell({ kind: 'ready', adapter: 'koffi', wakeFd: loop.wakeFd });
  loop.run(handlers);
}

async function runOnDgram(
  program: UdpProgram,
  { adapter, port, options, data }: UdpWorkerData,
  reason: UdpUnsupportedError,
): Promise<void> {
  const loop = new DgramUdpLoop(options, (message) => tell({ kind: 'message', message }));
  const handlers = program(loop, data);
  const stopped = Promise.withResolvers<void>();
  const running = loop.run(handlers, stopped.promise);
  port.on('message', (posted: ToUdpWorker) => {
    if (posted.kind === 'stop') stopped.resolve();
    else loop.deliver(posted.message);
  });
  tell({
    kind: 'ready',
    adapter: 'dgram',
    ...(adapter === 'auto' && { fallbackReason: reasonOf(reason) }),
  });
  await running;
}

function reasonOf(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

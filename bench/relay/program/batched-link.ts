import { startUdpWorker } from '@nexodus/udp-batch';
import type { Datagrams, FromLoopback, LoopbackPlan } from './loopback-thread.ts';
import type { TunnelLink } from './tunnel-link.ts';

/**
 * Opens a loopback socket in a thread of its own that takes and gives aggregates: what an agent could do where it has
 * batched system calls.
 */
export async function openBatchedLink(options: {
  /** Port of WireGuard. */
  readonly tunnelPort: number;
  readonly onDatagram: (datagram: Uint8Array) => void;
}): Promise<TunnelLink> {
  const port = Promise.withResolvers<number>();
  let waiting: Uint8Array[] = [];
  const take = (message: FromLoopback): void => {
    if ('port' in message) port.resolve(message.port);
    else split(message, options.onDatagram);
  };
  const worker = await startUdpWorker({
    entry: new URL('./loopback-thread.ts', import.meta.url),
    adapter: 'koffi',
    loop: { receiveOffload: true },
    data: {
      wireGuard: { address: '127.0.0.1', port: options.tunnelPort },
    } satisfies LoopbackPlan,
    onMessage: (message) => take(message as FromLoopback), // loopback-thread.ts posted it
    onFailure: (error) => {
      throw error;
    },
  });
  /** Everything that was read in one turn goes to the thread together. */
  const handOver = (): void => {
    const lengths = Uint32Array.from(waiting, ({ length }) => length);
    worker.post({ bytes: Buffer.concat(waiting), lengths } satisfies Datagrams);
    waiting = [];
  };
  return {
    port: await port.promise,
    deliver: (datagram) => {
      if (waiting.length === 0) setImmediate(handOver);
      waiting.push(datagram);
    },
    close: () => worker.stop(),
  };
}

function split({ bytes, lengths }: Datagrams, onDatagram: (datagram: Uint8Array) => void): void {
  let offset = 0;
  for (const length of lengths) {
    onDatagram(bytes.subarray(offset, offset + length));
    offset += length;
  }
}

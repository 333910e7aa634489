/** The program that loads a STUN server: told a plan as its argument, it says a count for each line of its input. */
import { createInterface } from 'node:readline';
import { startUdpWorker } from '@nexodus/udp-batch';

const worker = await startUdpWorker({
  entry: new URL('./load-thread.ts', import.meta.url),
  adapter: 'koffi',
  loop: { batchSize: 64, datagramBytes: 256 },
  data: JSON.parse(process.argv[2] ?? 'null'),
  onMessage: (count) => void process.stdout.write(`${JSON.stringify(count)}\n`),
  onFailure: (error) => {
    throw error;
  },
});
process.stdout.write('asking\n');
for await (const _line of createInterface({ input: process.stdin })) worker.post('count');
await worker.stop();

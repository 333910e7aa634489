import { describe, expect, test } from 'vitest';
import { describeUdpLoop } from './udp-loop.contract.ts';
import { startUdpWorker } from './udp-worker.ts';

describe('koffi', () => {
  describeUdpLoop('koffi');
});

describe('dgram', () => {
  describeUdpLoop('dgram');
});

const quiet = { onMessage: () => {}, onFailure: () => {} };

test('left to choose, a worker takes the batched system calls', async () => {
  const entry = new URL('./udp-loop-program.fixture.ts', import.meta.url);
  const worker = await startUdpWorker({ entry, adapter: 'auto', ...quiet });
  expect(worker).toMatchObject({ adapter: 'koffi', fallbackReason: undefined });
  await worker.stop();
});

test('a worker that cannot begin says why', async () => {
  const entry = new URL('data:text/javascript,throw new Error("no program")');
  await expect(startUdpWorker({ entry, adapter: 'dgram', ...quiet })).rejects.toThrow('no program');
});

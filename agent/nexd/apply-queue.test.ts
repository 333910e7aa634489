import { expect, test } from 'vitest';
import { createApplyQueue } from './apply-queue.ts';

function controlled() {
  const starts: PromiseWithResolvers<void>[] = [];
  const queue = createApplyQueue(() => {
    const run = Promise.withResolvers<void>();
    starts.push(run);
    return run.promise;
  });
  return { queue, starts };
}

test('what is asked for while a run is on is one more run, however often', async () => {
  const { queue, starts } = controlled();
  const first = queue.request();
  const later = [queue.request(), queue.request(), queue.request()];
  expect(starts).toHaveLength(1);
  starts[0]!.resolve();
  await first;
  await expect.poll(() => starts.length).toBe(2);
  starts[1]!.resolve();
  await Promise.all(later);
  expect(starts).toHaveLength(2);
});

test('a request after a run begins a new one', async () => {
  const { queue, starts } = controlled();
  const first = queue.request();
  starts[0]!.resolve();
  await first;
  void queue.request();
  expect(starts).toHaveLength(2);
  starts[1]!.resolve();
});

test('stopping waits for the present run and begins no other', async () => {
  const { queue, starts } = controlled();
  void queue.request();
  void queue.request();
  let isStopped = false;
  const stopping = queue.stop().then(() => {
    isStopped = true;
  });
  await Promise.resolve();
  expect(isStopped).toBe(false);
  starts[0]!.resolve();
  await stopping;
  await queue.request();
  expect(starts).toHaveLength(1);
});

import { ManualClock } from '@nexodus/clock';
import { expect, test } from 'vitest';

import { createInProcessSoftStateStore } from './create-soft-state-store.ts';
import { InProcessRecordStore } from './in-process-record-store.ts';
import { describeSoftStateStore } from './soft-state-store.contract.ts';

describeSoftStateStore(
  'the in-process store',
  () => {
    const clock = new ManualClock();
    clock.wait = () => Promise.resolve();
    const store = createInProcessSoftStateStore({ clock, random: () => 0.5 });
    return Promise.resolve({ near: store, far: store, stop: () => Promise.resolve() });
  },
  200,
);

test('marks of ended entries are forgotten after a day, entries are not', async () => {
  let now = 0;
  const store = new InProcessRecordStore(() => now);
  const record = { isLive: true, epoch: 1n, sequence: 1n, leaseUntil: 0, value: new Uint8Array() };
  await store.write('a.live', record, 0);
  await store.write('a.ended', { ...record, isLive: false }, 0);
  now = 24 * 3_600_000 + 1;
  expect((await store.readAll('>')).map(({ key }) => key)).toEqual(['a.live']);
});

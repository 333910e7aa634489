import { ManualClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import { expect, test } from 'vitest';

import { InProcessRecordStore } from './in-process-record-store.ts';
import type { RecordObserver } from './record-store.ts';
import { watchRecords } from './soft-state-watch.ts';

const record = { isLive: true, epoch: 1n, sequence: 1n, leaseUntil: 0, value: new Uint8Array() };

/** A store whose observers hear of nothing by themselves. */
class DeafStore extends InProcessRecordStore {
  observer: RecordObserver | undefined;
  isDown = false;

  override observe(_pattern: string, observer: RecordObserver): () => void {
    this.observer = observer;
    return () => {
      this.observer = undefined;
    };
  }

  override readAll(pattern: string): ReturnType<InProcessRecordStore['readAll']> {
    return this.isDown ? Promise.reject(new Error('down')) : super.readAll(pattern);
  }
}

function watch(store: DeafStore, clock: ManualClock) {
  const controller = new AbortController();
  const options = { store, pattern: '>', clock, rereadMs: 30_000, signal: controller.signal };
  return { changes: watchRecords(options), controller };
}

test('a change nobody was told of is found by the next reading', async () => {
  const clock = new ManualClock();
  const store = new DeafStore(() => 0);
  await store.write('a.1', record, 0);
  const { changes, controller } = watch(store, clock);
  expect((await changes.next()).value).toMatchObject({ kind: 'put' });
  await eventually(() => clock.pendingTimers === 1);
  await store.write('a.1', { ...record, isLive: false }, 1);
  clock.advance(30_000);
  expect((await changes.next()).value).toEqual({ kind: 'delete', key: 'a.1' });
  controller.abort();
  expect((await changes.next()).done).toBe(true);
  expect(clock.pendingTimers).toBe(0);
  expect(store.observer).toBeUndefined();
});

test('a reading that fails deletes nothing, and the next one is begun when the store is back', async () => {
  const clock = new ManualClock();
  const store = new DeafStore(() => 0);
  await store.write('a.1', record, 0);
  const { changes, controller } = watch(store, clock);
  expect((await changes.next()).value).toMatchObject({ kind: 'put' });
  await eventually(() => clock.pendingTimers === 1);
  store.isDown = true;
  clock.advance(30_000);
  await eventually(() => clock.pendingTimers === 1);
  await store.write('a.2', record, 0);
  store.isDown = false;
  store.observer?.missed();
  expect((await changes.next()).value).toMatchObject({ kind: 'put', entry: { key: 'a.2' } });
  controller.abort();
  await changes.return();
});

import { ManualClock } from '@nexodus/clock';
import { type BusStatus, createInProcessMessageBus, type MessageBus } from '@nexodus/messaging';
import { expect, test } from 'vitest';
import { createHeartbeat, HEARTBEAT_CALL_SUBJECT } from './heartbeat.ts';

/** A bus that a test connects and disconnects; the in-process one never is. */
function switchable() {
  const bus = createInProcessMessageBus();
  const listeners = new Set<(status: BusStatus) => void>();
  const onStatus: MessageBus['onStatus'] = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const switchTo = (status: BusStatus): void => {
    for (const listener of listeners) listener(status);
  };
  const publishedAt: number[] = [];
  return { bus, listeners, onStatus, switchTo, publishedAt };
}

function beating(draws: readonly number[]) {
  const clock = new ManualClock();
  const { bus, listeners, onStatus, switchTo, publishedAt } = switchable();
  const left = [...draws];
  const part = createHeartbeat({
    name: 'heartbeat',
    bus: {
      ...bus,
      status: 'connected',
      droppedPublishes: 0,
      subscribe: bus.subscribe.bind(bus),
      flush: bus.flush.bind(bus),
      close: bus.close.bind(bus),
      onStatus,
      publish: (subject, data) => {
        publishedAt.push(clock.now());
        return bus.publish(subject, data);
      },
    },
    subject: 'nexodus.test.heartbeat',
    message: () => Uint8Array.from([publishedAt.length]),
    clock,
    random: () => left.shift() ?? 0.5,
  });
  return { clock, part, publishedAt, switchTo, listeners, bus };
}

test('it beats at the start and then after intervals that differ by up to a tenth', async () => {
  const { clock, part, publishedAt } = beating([0, 0.5, 1]);
  await part.start();
  clock.advance(35_000);
  expect(publishedAt).toEqual([0, 9_000, 19_000, 30_000]);
});

test('each beat carries the message of its moment', async () => {
  const { clock, part, bus } = beating([]);
  const told: number[] = [];
  bus.subscribe('nexodus.test.heartbeat', ({ data }) => {
    told.push(...data);
  });
  await part.start();
  clock.advance(10_000);
  await expect.poll(() => told).toEqual([0, 1]);
});

test('it beats when the bus is connected again, and from there in its rhythm', async () => {
  const { clock, part, publishedAt, switchTo } = beating([]);
  await part.start();
  clock.advance(4_000);
  switchTo('disconnected');
  switchTo('connected');
  clock.advance(12_000);
  expect(publishedAt).toEqual([0, 4_000, 14_000]);
});

test('it beats when somebody asks who is there', async () => {
  const { bus, part, publishedAt } = beating([]);
  await part.start();
  bus.publish(HEARTBEAT_CALL_SUBJECT, new Uint8Array());
  await expect.poll(() => publishedAt).toEqual([0, 0]);
});

test('it is still after its stop', async () => {
  const { clock, part, publishedAt, listeners } = beating([]);
  await part.start();
  await part.stop();
  clock.advance(60_000);
  expect(publishedAt).toEqual([0]);
  expect(clock.pendingTimers + listeners.size).toBe(0);
});

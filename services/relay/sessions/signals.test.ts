import { eventually } from '@nexodus/clock/testing';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { describe, expect, test } from 'vitest';
import { observeSignals } from './observe-signals.ts';
import { grantFor, makeDevice, startSessions, type TestStream } from './sessions.fixture.ts';

const a = makeDevice('a');
const b = makeDevice('b');
const c = makeDevice('c');

/** A relay with a session that both devices opened. */
async function opened() {
  const sessions = startSessions();
  const [streamA, streamB] = [await sessions.attach(a), await sessions.attach(b)];
  const { signed } = grantFor(sessions.clock, [a, b]);
  streamA.say('openSession', { grant: signed });
  const { sessionId } = await streamA.heard('sessionOpened');
  streamB.say('openSession', { grant: signed });
  await streamB.heard('sessionOpened');
  return { ...sessions, streamA, streamB, sessionId };
}

function send(stream: TestStream, sessionId: bigint, sealed: Uint8Array = Buffer.of(1)): void {
  stream.say('signal', { sessionId, sealed: Buffer.from(sealed) });
}

/** Bytes of the signals that a device heard. */
function heardBy({ messages }: TestStream): number[][] {
  return messages.flatMap((message) =>
    message.$case === 'signalled' ? [[...message.value.sealed]] : [],
  );
}

describe('a signal', () => {
  test('reaches the peer of the session as it was said, in both directions', async () => {
    const { hub, sessionId, streamA, streamB } = await opened();
    send(streamA, sessionId, Buffer.of(1, 2, 3));
    expect(await streamB.heard('signalled')).toEqual({ sessionId, sealed: Buffer.of(1, 2, 3) });
    send(streamB, sessionId, Buffer.alloc(1_200, 7));
    expect((await streamA.heard('signalled')).sealed).toEqual(Buffer.alloc(1_200, 7));
    expect(hub.signals.counts).toMatchObject({ forwarded: 2, refused: 0 });
  });

  test('of a device that has no part in the session, or of no session, goes nowhere', async () => {
    const { attach, hub, sessionId, streamA, streamB } = await opened();
    const stranger = await attach(c);
    send(stranger, sessionId);
    send(stranger, 999n);
    await eventually(() => expect(hub.signals.counts.refused).toBe(2));
    expect([...heardBy(streamA), ...heardBy(streamB)]).toEqual([]);
  });

  test('of a side that has closed the session goes nowhere', async () => {
    const { hub, sessionId, streamA } = await opened();
    streamA.say('closeSession', { sessionId });
    send(streamA, sessionId);
    await eventually(() => expect(hub.signals.counts.refused).toBe(1));
  });

  test('of a session that was revoked goes nowhere', async () => {
    const { attach, clock, hub } = startSessions();
    const [streamA, streamB] = [await attach(a), await attach(b)];
    const { grantId, signed } = grantFor(clock, [a, b]);
    for (const stream of [streamA, streamB]) stream.say('openSession', { grant: signed });
    const { sessionId } = await streamA.heard('sessionOpened');
    await streamB.heard('sessionOpened');
    hub.revoke([grantId]);
    send(streamA, sessionId);
    await eventually(() => expect(hub.signals.counts.refused).toBe(1));
    expect(heardBy(streamB)).toEqual([]);
  });

  test('is dropped where the peer is not here, and is not kept for its return', async () => {
    const { attach, hub, sessionId, streamA, streamB } = await opened();
    await streamB.close();
    await eventually(() => expect(hub.counts.attachments).toBe(1));
    send(streamA, sessionId, Buffer.of(1));
    await eventually(() => expect(hub.signals.counts['not-here']).toBe(1));
    const again = await attach(b);
    send(streamA, sessionId, Buffer.of(2));
    await again.heard('signalled');
    expect(heardBy(again)).toEqual([[2]]);
  });

  test('is dropped where the peer has not opened its side', async () => {
    const { attach, clock, hub } = startSessions();
    const [streamA, streamB] = [await attach(a), await attach(b)];
    streamA.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    const { sessionId } = await streamA.heard('sessionOpened');
    send(streamA, sessionId);
    await eventually(() => expect(hub.signals.counts['not-here']).toBe(1));
    expect(heardBy(streamB)).toEqual([]);
  });

  test('that is empty or longer than 1,200 bytes is dropped', async () => {
    const { hub, sessionId, streamA, streamB } = await opened();
    send(streamA, sessionId, Buffer.alloc(0));
    send(streamA, sessionId, Buffer.alloc(1_201));
    await eventually(() => expect(hub.signals.counts.malformed).toBe(2));
    expect(heardBy(streamB)).toEqual([]);
  });

  test('is one of 40 at once and 20 per second; the rest of that attachment is dropped', async () => {
    const { clock, hub, sessionId, streamA, streamB } = await opened();
    for (let number = 0; number < 50; number += 1) send(streamA, sessionId, Buffer.of(number));
    await eventually(() => expect(hub.signals.counts.limit).toBe(10));
    await streamB.heard('signalled', 40);
    send(streamB, sessionId);
    await streamA.heard('signalled');
    clock.advance(1_000);
    for (let number = 50; number < 80; number += 1) send(streamA, sessionId, Buffer.of(number));
    await eventually(() => expect(hub.signals.counts.limit).toBe(20));
    await streamB.heard('signalled', 60);
    expect(heardBy(streamB).at(-1)).toEqual([69]);
  });

  test('is dropped where the peer reads slowly, so that nobody’s signals end its stream', async () => {
    const { clock, hub, sessionId, streamA, streamB } = await opened();
    const resume = streamB.pause();
    for (let round = 0; round < 60; round += 1) {
      for (let number = 0; number < 20; number += 1) send(streamA, sessionId);
      const { counts } = hub.signals;
      await eventually(() => expect(counts.forwarded + counts.slow).toBe((round + 1) * 20));
      clock.advance(1_000);
    }
    expect(hub.signals.counts.forwarded).toBeLessThan(100);
    expect(hub.signals.counts.limit).toBe(0);
    resume();
    const { forwarded } = hub.signals.counts;
    await streamB.heard('signalled', forwarded);
    send(streamA, sessionId, Buffer.of(9));
    await streamB.heard('signalled', forwarded + 1);
    expect(heardBy(streamB).at(-1)).toEqual([9]);
  });
});

/** Collects when a test asks. */
class AskedReader extends MetricReader {
  protected override onForceFlush = () => Promise.resolve();
  protected override onShutdown = () => Promise.resolve();
}

test('what became of signals is counted by outcome', async () => {
  const reader = new AskedReader();
  const provider = new MeterProvider({ readers: [reader] });
  const { hub, sessionId, streamA, streamB } = await opened();
  observeSignals(provider.getMeter('test'), hub.signals.counts);
  send(streamA, sessionId);
  await streamB.heard('signalled');
  const { resourceMetrics } = await reader.collect();
  await provider.shutdown();
  const points = resourceMetrics.scopeMetrics
    .flatMap(({ metrics }) => metrics)
    .flatMap(({ dataPoints, descriptor }) =>
      dataPoints.map(({ attributes, value }) => [descriptor.name, attributes['outcome'], value]),
    );
  expect(points.filter(([, , value]) => value !== 0)).toEqual([
    ['nexodus.relay.signals', 'forwarded', 1],
  ]);
});

import { expect, test } from 'vitest';
import { encodeFrame } from './encode-frame.ts';
import { FrameWriter } from './frame-writer.ts';

/** A stream that takes bytes when the test lets it. */
function build(queueBytes = 1_000) {
  const written: Uint8Array[] = [];
  const leaving: ((error?: Error) => void)[] = [];
  const scheduled: (() => void)[] = [];
  const writer = new FrameWriter({
    sink: {
      write: (bytes, left) => {
        written.push(bytes);
        leaving.push(left);
      },
    },
    queueBytes,
    schedule: (flush) => scheduled.push(flush),
  });
  const flush = (): void => scheduled.splice(0).forEach((one) => one());
  const leave = (error?: Error): void => leaving.splice(0).forEach((left) => left(error));
  const types = (): number[] => written.splice(0).map((bytes) => bytes[0] ?? -1);
  return { writer, written, scheduled, flush, leave, types };
}

const packet = (type: number, size = 10) => {
  const bytes = encodeFrame(type, new Uint8Array(size));
  return { bytes, start: 0, end: bytes.length };
};

/** More than the stream takes at once. */
const WINDOW = 262_144;

test('what comes at the same time goes out in one piece, control frames first', () => {
  const { writer, written, scheduled, flush } = build();
  writer.sendPackets(packet(1));
  writer.sendPackets(packet(2));
  writer.sendControl(encodeFrame(9));
  expect(scheduled).toHaveLength(1);
  flush();
  const expected = Buffer.concat([encodeFrame(9), packet(1).bytes, packet(2).bytes]);
  expect(written.map((bytes) => Buffer.from(bytes))).toEqual([expected]);
});

test('a burst does not wait for the others to be read', () => {
  const { writer, flush, types } = build(200_000);
  for (let count = 0; count < 5; count += 1) {
    expect(writer.sendPackets(packet(count, 60_000))).toBe(0);
  }
  expect(types()).toEqual([0, 2]);
  flush();
  expect(types()).toEqual([4]);
});

test('one run alone is not copied', () => {
  const { writer, written, flush } = build();
  const run = packet(1);
  writer.sendPackets(run);
  flush();
  expect(written[0]?.buffer).toBe(run.bytes.buffer);
});

test('while the stream takes nothing the oldest packets make room, and control frames go ahead', () => {
  const { writer, flush, leave, types } = build(WINDOW);
  writer.sendPackets(packet(1, WINDOW - 5));
  flush();
  expect(writer.isFull).toBe(true);
  expect(types()).toEqual([1]);
  expect(writer.sendPackets(packet(2, 100_000))).toBe(0);
  expect(writer.sendPackets(packet(3, 100_000))).toBe(0);
  expect(writer.sendPackets(packet(4, 100_000))).toBe(1);
  writer.sendControl(encodeFrame(9));
  flush();
  expect(types()).toEqual([]);
  leave();
  expect(types()).toEqual([9, 4]);
  expect(writer.writtenBytes).toBe(WINDOW);
});

test('waiting bytes count what is queued and what is under way', () => {
  const { writer, flush, leave } = build();
  writer.sendPackets(packet(1, 5));
  writer.sendControl(encodeFrame(9));
  expect(writer.waitingBytes).toBe(15);
  flush();
  expect(writer.waitingBytes).toBe(15);
  leave();
  expect(writer.waitingBytes).toBe(0);
});

test('a peer that provokes control frames without reading loses them', () => {
  const { writer } = build();
  const frame = encodeFrame(9, new Uint8Array(995));
  const sent = Array.from({ length: 100 }, () => writer.sendControl(frame));
  expect(sent.filter(Boolean)).toHaveLength(65);
});

test('closing forgets packets, says what was to be said, and takes nothing more', () => {
  const { writer, flush, types } = build();
  writer.sendPackets(packet(1));
  writer.sendControl(encodeFrame(9));
  writer.close();
  writer.close();
  expect(writer.sendPackets(packet(2))).toBe(0);
  expect(writer.sendControl(encodeFrame(8))).toBe(false);
  flush();
  expect(types()).toEqual([9]);
});

test('nothing is written to a stream that has failed', () => {
  const { writer, flush, leave, types } = build(2 * WINDOW);
  writer.sendPackets(packet(1, WINDOW));
  flush();
  writer.sendPackets(packet(2));
  types();
  leave(new Error('broken'));
  expect(types()).toEqual([]);
});

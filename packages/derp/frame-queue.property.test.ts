import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame } from './encode-frame.ts';
import { FrameQueue, type FrameRun } from './frame-queue.ts';

const MAX_BYTES = 200;

/** Frames with a number each, so that order and loss show. */
const step = fc.oneof(
  fc.record({
    kind: fc.constant('push' as const),
    sizes: fc.array(fc.nat(60), { minLength: 1, maxLength: 5 }),
  }),
  fc.record({ kind: fc.constant('take' as const), bytes: fc.nat(150) }),
);

function runOf(frames: readonly Uint8Array[]): FrameRun {
  const bytes = new Uint8Array(Buffer.concat([Buffer.alloc(3), ...frames]));
  return { bytes, start: 3, end: bytes.length };
}

const textOf = (runs: readonly FrameRun[]): string =>
  runs
    .map(({ bytes, start, end }) => Buffer.from(bytes.subarray(start, end)).toString('hex'))
    .join('');

/** The same queue, as a list of frames. */
function createModel() {
  let frames: Uint8Array[] = [];
  const bytes = (): number => frames.reduce((sum, frame) => sum + frame.length, 0);
  return {
    bytes,
    push: (added: readonly Uint8Array[]): number => {
      const all = [...frames, ...added];
      for (frames = all; bytes() > MAX_BYTES;) frames = frames.slice(1);
      return all.length - frames.length;
    },
    /** Takes so many bytes, which must be whole frames. */
    takeBytes: (count: number): string => {
      const before = bytes();
      const all = frames;
      while (before - bytes() < count) frames = frames.slice(1);
      return Buffer.concat(all.slice(0, all.length - frames.length)).toString('hex');
    },
  };
}

test('it keeps the newest frames that fit, whole and in order, and counts the others', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const queue = new FrameQueue(MAX_BYTES);
      const model = createModel();
      const push = (sizes: readonly number[]): void => {
        const frames = sizes.map((size, index) => encodeFrame(index, new Uint8Array(size)));
        expect(queue.push(runOf(frames))).toBe(model.push(frames));
      };
      const take = (leastBytes: number): void => {
        const taken = textOf(queue.take(leastBytes));
        expect(taken.length / 2).toBeGreaterThanOrEqual(Math.min(leastBytes, model.bytes()));
        expect(taken).toBe(model.takeBytes(taken.length / 2));
      };
      for (const one of steps) {
        if (one.kind === 'push') push(one.sizes);
        else take(one.bytes);
        expect(queue.bytes).toBe(model.bytes());
      }
      take(Infinity);
    }),
  );
});

test('frames that follow each other in one memory become one run', () => {
  const queue = new FrameQueue(MAX_BYTES);
  const bytes = new Uint8Array(Buffer.concat([encodeFrame(1, new Uint8Array(4)), encodeFrame(2)]));
  queue.push({ bytes, start: 0, end: 9 });
  queue.push({ bytes, start: 9, end: 14 });
  expect(queue.take(1)).toEqual([{ bytes, start: 0, end: 14 }]);
});

test('a frame that never fits is dropped, and many small ones are let go of', () => {
  const queue = new FrameQueue(MAX_BYTES);
  expect(queue.push(runOf([encodeFrame(1, new Uint8Array(MAX_BYTES))]))).toBe(1);
  expect(queue.bytes).toBe(0);
  let dropped = 0;
  for (let index = 0; index < 5_000; index += 1) dropped += queue.push(runOf([encodeFrame(2)]));
  expect(dropped).toBe(5_000 - MAX_BYTES / 5);
  expect(textOf(queue.take(Infinity))).toBe('0200000000'.repeat(MAX_BYTES / 5));
  queue.push(runOf([encodeFrame(3)]));
  queue.clear();
  expect(queue.take(1)).toEqual([]);
});

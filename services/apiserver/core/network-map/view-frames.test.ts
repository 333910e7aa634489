import type { ViewEntry } from '@nexodus/contracts/agent';
import { expect, test } from 'vitest';
import { countFrames, framesOf } from './view-frames.ts';

/** Entries of 100 KiB, of which two do not fit into a frame. */
function largeEntries(count: number): ViewEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    key: `peer/${index}`,
    value: Buffer.alloc(100 * 1024),
  }));
}

test('frames are counted before any is made, and are as many as counted', () => {
  const small = Array.from({ length: 5_000 }, (_, index) => ({
    key: `peer/${index}`,
    value: Buffer.alloc(index % 300),
  }));
  for (const entries of [[], largeEntries(1), largeEntries(3), small]) {
    const frames = [...framesOf(entries)];
    expect(countFrames(entries)).toBe(frames.length);
    expect(frames.flatMap((frame) => frame.entries)).toEqual(entries);
  }
});

test('a frame is made when it is asked for, of the very entries that others get', () => {
  const entries = largeEntries(9);
  let taken = 0;
  const frames = framesOf(
    (function* () {
      for (const entry of entries) {
        taken += 1;
        yield entry;
      }
    })(),
  );
  const { value } = frames.next();
  expect(taken).toBe(2);
  expect(value?.entries[0]).toBe(entries[0]);
});

import { fuzzRuns } from '@nexodus/fuzzing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DerpFormatError } from './derp-format-error.ts';
import { encodeFrame } from './encode-frame.ts';
import { FrameReader, payloadOf } from './frame-reader.ts';

interface Read {
  type: number;
  payload: Uint8Array;
}

/** Cuts bytes at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length];
  let start = 0;
  return ends
    .toSorted((a, b) => a - b)
    .map((end) => {
      const chunk = bytes.slice(start, end);
      start = end;
      return chunk;
    });
}

function readAll(reader: FrameReader): Read[] {
  const read: Read[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    read.push({ type: frame.type, payload: new Uint8Array(payloadOf(frame)) });
  }
  return read;
}

const frames = fc.array(
  fc.record({
    type: fc.integer({ min: 0, max: 255 }),
    payload: fc.uint8Array({ maxLength: 300 }),
  }),
  { maxLength: 12 },
);
const places = fc.array(fc.nat(), { maxLength: 12 });

const streamOf = (list: readonly Read[]): Uint8Array =>
  new Uint8Array(Buffer.concat(list.map(({ type, payload }) => encodeFrame(type, payload))));

test('frames come out as they went in, wherever the stream is cut', () => {
  fc.assert(
    fc.property(frames, places, (list, at) => {
      const reader = new FrameReader(300);
      const read = cut(streamOf(list), at).flatMap((chunk) => {
        reader.push(chunk);
        return readAll(reader);
      });
      expect(read).toEqual(list.map(({ type, payload }) => ({ type, payload })));
    }),
  );
});

test('chunks may be pushed before the frames of others are read', () => {
  fc.assert(
    fc.property(frames, places, (list, at) => {
      const reader = new FrameReader(300);
      for (const chunk of cut(streamOf(list), at)) reader.push(chunk);
      expect(readAll(reader)).toEqual(list);
    }),
  );
});

/** The longest payload that came out before the declared error. */
function longestOf(chunks: readonly Uint8Array[]): number {
  const reader = new FrameReader(64);
  try {
    return Math.max(
      0,
      ...chunks.flatMap((chunk) => {
        reader.push(chunk);
        return readAll(reader).map(({ payload }) => payload.length);
      }),
    );
  } catch (error) {
    if (error instanceof DerpFormatError) return 0;
    throw error;
  }
}

test('any bytes in any pieces are read or refused with the declared error', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), (chunks) => {
      expect(longestOf(chunks)).toBeLessThanOrEqual(64);
    }),
    { numRuns: fuzzRuns(5_000) },
  );
});

describe('the length that a header names', () => {
  const header = (length: number): Uint8Array => {
    const bytes = Buffer.alloc(5, 4);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };

  test.each([0x101, 0x7fffffff, 0xffffffff])('is refused at once when it is %i', (length) => {
    const reader = new FrameReader(0x100);
    reader.push(header(length));
    expect(() => reader.next()).toThrow(DerpFormatError);
    const split = new FrameReader(0x100);
    split.push(header(length).subarray(0, 3));
    expect(split.next()).toBeUndefined();
    split.push(header(length).subarray(3));
    expect(() => split.next()).toThrow(DerpFormatError);
  });

  test('is held to the limit of the moment', () => {
    const reader = new FrameReader(0x10);
    reader.maxPayloadBytes = 0x100;
    reader.push(header(0x100));
    expect(reader.next()).toBeUndefined();
  });
});

test('whole frames of one chunk lie in its memory, one after the other', () => {
  const chunk = streamOf([
    { type: 1, payload: new Uint8Array(3) },
    { type: 2, payload: new Uint8Array(0) },
  ]);
  const reader = new FrameReader(10);
  reader.push(chunk);
  expect(reader.next()).toEqual({ type: 1, bytes: chunk, start: 0, end: 8 });
  const second = reader.next();
  expect(second).toEqual({ type: 2, bytes: chunk, start: 8, end: 13 });
  expect(second?.bytes).toBe(chunk);
});

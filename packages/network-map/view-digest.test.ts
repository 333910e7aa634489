import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { ViewDigest } from './view-digest.ts';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

test('the digest of no entries is 32 zero bytes', () => {
  expect(ViewDigest.empty.toBytes()).toEqual(new Uint8Array(32));
});

test('the digest of one entry is the hash that the protocol page names', () => {
  const expected = createHash('sha256').update('nexodus-view-v1\0\0\0\x04selfvalue').digest();
  const digest = ViewDigest.of([['self', bytes('value')]]);
  expect(Buffer.from(digest.toBytes()).equals(expected)).toBe(true);
  expect(digest.equals(expected)).toBe(true);
});

test('a byte that moves from key to value changes the digest', () => {
  const left = ViewDigest.of([['ab', bytes('c')]]);
  const right = ViewDigest.of([['a', bytes('bc')]]);
  expect(left.equals(right.toBytes())).toBe(false);
});

test('the sum of digests of single entries is the digest of all of them', () => {
  const entries = ['a', 'b', 'c'].map((key) => [key, bytes(`value of ${key}`)] as const);
  const single = entries.map((entry) => ViewDigest.of([entry]));
  expect(ViewDigest.sum(single).equals(ViewDigest.of(entries).toBytes())).toBe(true);
  expect(ViewDigest.sum([]).equals(ViewDigest.empty.toBytes())).toBe(true);
});

test('a removal that crosses zero wraps around and comes back', () => {
  const wrapped = ViewDigest.empty.without('a', bytes('1'));
  expect(wrapped.toBytes().length).toBe(32);
  expect(wrapped.with('a', bytes('1')).equals(ViewDigest.empty.toBytes())).toBe(true);
});

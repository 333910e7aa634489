import { expect, test } from 'vitest';
import { createRecordSeal } from './record-seal.ts';

const seal = createRecordSeal(new Uint8Array(32).fill(1));

test('what is sealed shows nothing and opens in its place only', () => {
  const sealed = seal.seal('token-abc', 'RefreshToken 1');
  expect(sealed.includes('token-abc')).toBe(false);
  expect(seal.open(sealed, 'RefreshToken 1')).toBe('token-abc');
  expect(() => seal.open(sealed, 'RefreshToken 2')).toThrow(Error);
  expect(() => createRecordSeal(new Uint8Array(32)).open(sealed, 'RefreshToken 1')).toThrow(Error);
});

test('an altered record does not open', () => {
  const sealed = seal.seal('token-abc', 'here');
  for (const index of sealed.keys()) {
    const altered = Buffer.from(sealed);
    altered[index] = (altered[index] ?? 0) ^ 1;
    expect(() => seal.open(altered, 'here')).toThrow(Error);
  }
  expect(() => seal.open(sealed.subarray(0, 5), 'here')).toThrow(Error);
});

test('hashes find the same value of the same kind only', () => {
  expect(seal.hash('id', 'a')).toEqual(seal.hash('id', 'a'));
  expect(seal.hash('id', 'a')).not.toEqual(seal.hash('uid', 'a'));
  expect(seal.hash('id', 'a')).not.toEqual(seal.hash('id', 'b'));
});

import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import {
  RegistrationKeyError,
  generateRegistrationKey,
  parseRegistrationKey,
  registrationKeyHashesEqual,
} from './index.ts';

function refusal(text: string): string {
  try {
    parseRegistrationKey(text);
  } catch (error) {
    if (!(error instanceof RegistrationKeyError)) throw error;
    return error.reason;
  }
  return 'accepted';
}

describe('a registration key', () => {
  const key = generateRegistrationKey((size) => new Uint8Array(size).fill(0xa5));
  const text = key.exportText();

  test('has a stable form, a prefix to show and a hash to store', () => {
    expect(text).toMatch(/^nxr_[a-z2-7]{8}_[a-z2-7]{40}$/);
    expect(key.prefix).toBe(text.slice(0, 12));
    expect(Buffer.from(key.hash)).toEqual(createHash('sha256').update(text).digest());
  });

  test('is read back, also shouted and with white space around it', () => {
    for (const pasted of [text, ` ${text}\n`, text.toUpperCase()]) {
      const parsed = parseRegistrationKey(pasted);
      expect(registrationKeyHashesEqual(parsed.hash, key.hash)).toBe(true);
    }
  });

  test('is fresh each time', () => {
    const [first, second] = [generateRegistrationKey(), generateRegistrationKey()];
    expect(registrationKeyHashesEqual(first.hash, second.hash)).toBe(false);
    expect(registrationKeyHashesEqual(first.hash, first.hash.subarray(1))).toBe(false);
  });

  test('is not printed, in errors neither', () => {
    const secret = text.slice(13);
    const printed = `${String(key)} ${JSON.stringify({ key })} ${inspect(key, { showHidden: true })}`;
    expect(printed).toContain(key.prefix);
    expect(printed).not.toContain(secret);
    expect(() => parseRegistrationKey(`${text.slice(0, -1)}a`)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining(secret.slice(0, 8)) }),
    );
  });

  test('with any one character changed is called mistyped', () => {
    for (let index = 4; index < text.length; index += 1) {
      if (text[index] === '_') continue;
      const wrong = text[index] === 'q' ? 'r' : 'q';
      expect(refusal(text.slice(0, index) + wrong + text.slice(index + 1))).toBe('mistyped');
    }
  });

  test.each([
    ['empty', ''],
    ['a word', 'hunter2'],
    ['cut short', text.slice(0, -1)],
    ['too long', `${text}a`],
    ['without its mark', text.slice(4)],
    ['with a character outside the alphabet', `${text.slice(0, -1)}1`],
  ])('%s is no key at all', (_name, wrong) => {
    expect(refusal(wrong)).toBe('not-a-key');
  });
});

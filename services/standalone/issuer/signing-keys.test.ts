import { expect, test } from 'vitest';
import { rotateSigningKeys } from './signing-keys.ts';

const day = 86_400_000;
const start = new Date('2026-01-01T00:00:00Z');
const after = (days: number): Date => new Date(start.getTime() + days * day);

test('the first start makes a key, and the next ones keep it', () => {
  const first = rotateSigningKeys(undefined, start);
  expect(first.isChanged).toBe(true);
  expect(first.keys.keys).toHaveLength(1);
  const second = rotateSigningKeys(JSON.stringify(first.keys), after(89));
  expect(second).toEqual({ keys: first.keys, isChanged: false });
});

test('a key of more than 90 days gives way to a new one and stays published until nobody can hold its tokens', () => {
  const first = rotateSigningKeys(undefined, start).keys;
  const second = rotateSigningKeys(JSON.stringify(first), after(91));
  expect(second.isChanged).toBe(true);
  expect(second.keys.keys).toHaveLength(2);
  expect(second.keys.keys[1]).toEqual(first.keys[0]);
  const third = rotateSigningKeys(JSON.stringify(second.keys), after(188));
  expect(third.keys.keys).not.toContainEqual(first.keys[0]);
  expect(third.keys.keys.map((key) => key.created_at)).toEqual([
    after(188).toISOString(),
    after(91).toISOString(),
  ]);
});

test.each(['', '{}', '{"keys":[]}', 'null'])(
  'keys that cannot be read are not replaced: %j',
  (text) => {
    expect(() => rotateSigningKeys(text, start)).toThrow(Error);
  },
);

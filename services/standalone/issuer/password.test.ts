import { expect, test } from 'vitest';
import { generatePassword, hashPassword, verifyPassword } from './password.ts';

test('a password fits its own hash and no other does', async () => {
  const stored = await hashPassword('correct horse');
  expect(stored).toMatch(/^scrypt\$32768\$8\$3\$/);
  expect(await verifyPassword('correct horse', stored)).toBe(true);
  expect(await verifyPassword('correct horsE', stored)).toBe(false);
  expect(await verifyPassword('', stored)).toBe(false);
});

test('the same password hashes differently each time', async () => {
  expect(await hashPassword('a')).not.toBe(await hashPassword('a'));
});

test.each(['', 'plain', 'scrypt$1', 'bcrypt$1$2$3$YQ==$YQ==', 'scrypt$32768$8$3$YQ==$YQ=='])(
  'a text that is no hash lets nobody in: %j',
  async (stored) => {
    expect(await verifyPassword('anything', stored)).toBe(false);
  },
);

test('generated passwords have four groups of five and differ', () => {
  const passwords = new Set(Array.from({ length: 100 }, generatePassword));
  expect(passwords.size).toBe(100);
  for (const password of passwords) expect(password).toMatch(/^[a-z2-9]{5}(-[a-z2-9]{5}){3}$/);
});

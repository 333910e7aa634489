import { generateRegistrationKey, RegistrationKeyError } from '@nexodus/device-identity';
import { expect, test } from 'vitest';
import { readRegistrationKey, takeKeyArgument } from './registration-key-source.ts';

test.for([
  [
    ['node', 'nexd', 'up', '--reg-key', 'K', '--vpc', 'x'],
    ['node', 'nexd', 'up', '--vpc', 'x'],
  ],
  [
    ['node', 'nexd', '--reg-key=K'],
    ['node', 'nexd'],
  ],
])('the key is split off the arguments: %j', ([argv, rest]) => {
  expect(takeKeyArgument(argv!)).toEqual({ key: 'K', rest });
});

test.for([
  [['node', 'nexd', 'up', '--reg-key-file', 'F']],
  [['node', 'nexd', 'up', '--reg-key']],
  [['node', 'nexd', '--', '--reg-key', 'K']],
])('arguments without a key stay as they are: %j', ([argv]) => {
  expect(takeKeyArgument(argv!)).toEqual({ key: undefined, rest: argv });
});

test('a key of the environment is taken out of it', async () => {
  const key = generateRegistrationKey();
  const env = { NEXD_REG_KEY: `${key.exportText()}\n` };
  const read = await readRegistrationKey({ env });
  expect(read?.exportText()).toBe(key.exportText());
  expect(env).toEqual({});
});

test('a text that is no key is refused without being repeated', async () => {
  const attempt = readRegistrationKey({ env: { NEXD_REG_KEY: 'hunter2' } });
  await expect(attempt).rejects.toThrow(RegistrationKeyError);
  await expect(attempt).rejects.not.toThrow(/hunter2/);
});

test('an empty key that was given as argument is refused, and not taken for none', async () => {
  await expect(readRegistrationKey({ argument: '', env: {} })).rejects.toThrow(
    RegistrationKeyError,
  );
});

test('without file and variable there is none', async () => {
  expect(await readRegistrationKey({ env: {} })).toBeUndefined();
});

import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExitCode } from '../command/exit-code.ts';
import { readCredentialsFile, writeCredentialsFile } from './credentials-file.ts';

const credentials = {
  serviceUrl: 'https://127.0.0.1:7443',
  caPem: 'PEM',
  serviceAccountId: 'id',
  key: Ed25519PrivateKey.generate('service-account'),
};

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nexctl-'));
  path = join(folder, 'credentials.json');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('what is written is read again, and only the owner can', async () => {
  await writeCredentialsFile(path, credentials);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const read = await readCredentialsFile(path);
  expect(read.key.publicKey).toEqual(credentials.key.publicKey);
  expect({ ...read, key: undefined }).toEqual({ ...credentials, key: undefined });
});

test('a file has the form that a service writes at its first start', async () => {
  await writeCredentialsFile(path, credentials);
  expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')))).toEqual([
    'service_url',
    'ca_pem',
    'service_account_id',
    'private_key',
  ]);
});

test.for([0o640, 0o604, 0o660, 0o644])('a file of mode %i is refused', async (mode) => {
  await writeCredentialsFile(path, credentials);
  chmodSync(path, mode);
  const attempt = readCredentialsFile(path);
  await expect(attempt).rejects.toMatchObject({ exitCode: ExitCode.credentials });
  await expect(attempt).rejects.toThrow(/can be used by others/);
});

test.for(['', '{', '{"private_key": "hunter2"}', 'null'])(
  'a damaged file is refused without being repeated: %j',
  async (text) => {
    writeFileSync(path, text, { mode: 0o600 });
    const attempt = readCredentialsFile(path);
    await expect(attempt).rejects.toMatchObject({ exitCode: ExitCode.credentials });
    await expect(attempt).rejects.not.toThrow(/hunter2/);
  },
);

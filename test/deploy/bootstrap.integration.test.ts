import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrapSchema } from '@nexodus/database';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { startTestPostgres, type TestPostgres } from '@nexodus/embedded-postgres/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repository } from './deploy-file.ts';

let postgres: TestPostgres;
let folder: string;
beforeAll(async () => {
  postgres = await startTestPostgres();
  folder = await mkdtemp(join(tmpdir(), 'nexodus-bootstrap-'));
});
afterAll(async () => {
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function emptyInstallation(): Promise<string> {
  const url = await postgres.createDatabase();
  await bootstrapSchema({ admin: url, schema: 'apiserver', role: 'apiserver' });
  return url;
}

async function bootstrap(
  url: string,
  credentials: string,
): Promise<{ exitCode: unknown; stderr: string }> {
  const options = {
    url,
    'service-url': 'https://nexodus.example:7443',
    organization: 'example',
    'owner-issuer': 'https://issuer.example',
    'owner-subject': 'subject',
    'owner-email': 'owner@example.com',
    credentials,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(process.execPath, ['deploy/bootstrap.ts', ...args], {
    cwd: repository,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [exitCode] = await once(child, 'close');
  return { exitCode, stderr };
}

test('an account is made once, and only its owner reads its key', async () => {
  const url = await emptyInstallation();
  const file = join(folder, 'first.json');
  expect(await bootstrap(url, file)).toEqual({ exitCode: 0, stderr: '' });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const { private_key: key, ...rest } = JSON.parse(await readFile(file, 'utf8'));
  expect(Ed25519PrivateKey.fromBase64(key, 'service-account').publicKey).toHaveLength(32);
  expect(rest).toEqual({
    service_url: 'https://nexodus.example:7443',
    service_account_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
  const again = join(folder, 'again.json');
  expect(await bootstrap(url, again)).toEqual({
    exitCode: 1,
    stderr: 'bootstrap: this installation has its bootstrap account already\n',
  });
  await expect(stat(again)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a file that is there is left as it is, and nothing is made', async () => {
  const url = await emptyInstallation();
  const file = join(folder, 'mine.json');
  await writeFile(file, 'mine');
  const refused = await bootstrap(url, file);
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toMatch(/^bootstrap: .*mine\.json cannot be made; it must not be there/);
  expect(await readFile(file, 'utf8')).toBe('mine');
  expect((await bootstrap(url, join(folder, 'other.json'))).exitCode).toBe(0);
});

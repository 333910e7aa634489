import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nexodus-apiserver-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function settings(): object {
  const file = join(folder, 'any.pem');
  writeFileSync(file, 'x');
  return {
    metrics: { listen: '127.0.0.1:0' },
    internal: {
      listen: `unix:${join(folder, 'internal.sock')}`,
      certificate_file: file,
      key_file: file,
      ca_file: file,
    },
    database: { url: `postgres:///nexodus?host=${folder}` },
    nats: { servers: ['nats://127.0.0.1:1'] },
    root_secret_file: join(folder, 'none'),
    api: {
      listen: '127.0.0.1:0',
      certificate_file: file,
      key_file: file,
      public_urls: ['https://nexodus.test:7443'],
    },
    console_url: 'https://nexodus.test:8443',
    issuers: [{ url: 'https://issuer.test', client_id: 'nexodus-cli' }],
    ipam: { address: `unix:${join(folder, 'ipam.sock')}` },
    policy: { address: `unix:${join(folder, 'policy.sock')}` },
  };
}

test('a start without one of the files that are named ends with 2 and a line that names it', async () => {
  const config = join(folder, 'config.yaml');
  writeFileSync(config, JSON.stringify(settings()));
  const main = join(import.meta.dirname, 'main.ts');
  const child = spawn(process.execPath, [main, '--config', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 30_000,
  });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  expect(said).toContain(join(folder, 'none'));
  expect(code).toBe(2);
});

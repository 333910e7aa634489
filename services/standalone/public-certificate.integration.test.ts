import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataDirectory, openDataDirectory } from './data-directory.ts';
import { ensurePublicCertificate } from './public-certificate.ts';
import { ensureRootSecret } from './root-secret.ts';

const day = 86_400_000;
const now = new Date();
let parent: string;
let directory: DataDirectory;
beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), 'nexodus-data-'));
  directory = await openDataDirectory(join(parent, 'data'));
});
afterEach(() => {
  directory.release();
  rmSync(parent, { recursive: true, force: true });
});

test('a second process cannot have the directory before it was released', async () => {
  await expect(openDataDirectory(directory.path)).rejects.toThrow('another instance uses');
  directory.release();
  directory = await openDataDirectory(directory.path);
});

test('the certificate stays while it holds its hosts, and is issued anew by the same CA when a host is added', async () => {
  const first = await ensurePublicCertificate(directory, ['localhost', '127.0.0.1'], now);
  const same = await ensurePublicCertificate(directory, ['127.0.0.1'], now);
  expect(same).toEqual(first);
  const more = await ensurePublicCertificate(
    directory,
    ['localhost', 'nexodus.example', '::1'],
    now,
  );
  expect(more.caFingerprint).toBe(first.caFingerprint);
  const certificate = new X509Certificate(more.tls.certificate);
  expect(certificate.checkHost('nexodus.example')).toBe('nexodus.example');
  expect(certificate.checkIP('::1')).toBe('::1');
  // The chain that is sent includes the CA, for clients that know its fingerprint only.
  expect(more.tls.certificate.endsWith(more.caPem)).toBe(true);
});

test('the certificate is issued anew before it ends, and when its files were damaged', async () => {
  const first = await ensurePublicCertificate(directory, ['localhost'], now);
  const later = await ensurePublicCertificate(
    directory,
    ['localhost'],
    new Date(now.getTime() + 600 * day),
  );
  expect(later.tls.certificate).not.toBe(first.tls.certificate);
  writeFileSync(directory.file('server.pem'), later.tls.certificate.slice(0, 100));
  const repaired = await ensurePublicCertificate(directory, ['localhost'], now);
  expect(new X509Certificate(repaired.tls.certificate).checkHost('localhost')).toBe('localhost');
});

test('a CA whose key is gone is not replaced silently', async () => {
  await ensurePublicCertificate(directory, ['localhost'], now);
  unlinkSync(directory.file('ca.key'));
  await expect(ensurePublicCertificate(directory, ['localhost'], now)).rejects.toThrow(
    'ca.key is missing',
  );
});

test('the root secret is made once, readable by its owner only, and never replaced', async () => {
  const secret = await ensureRootSecret(directory);
  expect(await ensureRootSecret(directory)).toEqual(Buffer.from(secret));
  expect(statSync(directory.file('root-secret')).mode & 0o777).toBe(0o600);
  writeFileSync(directory.file('root-secret'), 'abc');
  await expect(ensureRootSecret(directory)).rejects.toThrow('must hold 32 bytes in hex');
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createPlainServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import {
  type CertificateAuthority,
  certificateFingerprint,
  createCertificateAuthority,
  issueServerCertificate,
} from '@nexodus/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ExitCode } from '../command/exit-code.ts';
import { diagnoseConnection } from './explain-connect-failure.ts';
import { DIRECT } from './proxy-settings.ts';
import { resolveTrust } from './service-trust.ts';
import { parseServiceUrl, type ServiceUrl } from './service-url.ts';

const servers: Server[] = [];
let folder: string;
let ca: CertificateAuthority;
let otherCa: CertificateAuthority;
let service: ServiceUrl;
let foreignName: ServiceUrl;
let plain: ServiceUrl;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nexd-trust-'));
  const now = new Date();
  ca = await createCertificateAuthority({ commonName: 'one', now, years: 1 });
  otherCa = await createCertificateAuthority({ commonName: 'two', now, years: 1 });
  service = await serveTls(['127.0.0.1']);
  foreignName = await serveTls(['192.0.2.1']);
  plain = await listen(
    createPlainServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  );
});

afterAll(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function serveTls(ipAddresses: string[]): Promise<ServiceUrl> {
  const leaf = await issueServerCertificate({
    ca,
    dnsNames: [],
    ipAddresses,
    now: new Date(),
    days: 1,
  });
  const cert = leaf.certificatePem + ca.certificatePem;
  return listen(createServer({ cert, key: leaf.key.exportPem(), ALPNProtocols: ['h2'] }));
}

async function listen(server: Server): Promise<ServiceUrl> {
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return parseServiceUrl(`https://127.0.0.1:${port}`);
}

test('a pin picks the CA out of what the service shows, and it is enough to connect', async () => {
  const pin = certificateFingerprint(ca.certificatePem);
  const found = await resolveTrust(service, { caSha256: pin.toUpperCase() }, DIRECT);
  expect(certificateFingerprint(found ?? '')).toBe(pin);
  expect(await diagnoseConnection({ service, caPem: found, proxies: DIRECT })).toBeUndefined();
});

test('a pin of another CA is an error that names both fingerprints', async () => {
  const pin = certificateFingerprint(otherCa.certificatePem);
  const attempt = resolveTrust(service, { caSha256: pin, storedCa: ca.certificatePem }, DIRECT);
  await expect(attempt).rejects.toMatchObject({ exitCode: ExitCode.untrusted });
  await expect(attempt).rejects.toThrow(pin);
  await expect(attempt).rejects.toThrow(certificateFingerprint(ca.certificatePem));
});

test('a CA that was stored under the same pin needs no connection', async () => {
  const gone = parseServiceUrl('https://127.0.0.1:1');
  const pin = certificateFingerprint(ca.certificatePem);
  const found = await resolveTrust(gone, { caSha256: pin, storedCa: ca.certificatePem }, DIRECT);
  expect(found).toBe(ca.certificatePem);
});

test('a CA file is read; one without a certificate and an unreadable one are usage errors', async () => {
  const path = join(folder, 'ca.pem');
  writeFileSync(path, `text before\n${ca.certificatePem}`);
  const found = await resolveTrust(service, { caFile: path }, DIRECT);
  expect(await diagnoseConnection({ service, caPem: found, proxies: DIRECT })).toBeUndefined();
  writeFileSync(path, 'nothing');
  const usage = { exitCode: ExitCode.usage };
  await expect(resolveTrust(service, { caFile: path }, DIRECT)).rejects.toMatchObject(usage);
  await expect(
    resolveTrust(service, { caFile: join(folder, 'none') }, DIRECT),
  ).rejects.toMatchObject(usage);
  await expect(resolveTrust(service, { caSha256: 'abc' }, DIRECT)).rejects.toMatchObject(usage);
});

test('another CA, another name, no TLS and nobody there are told apart', async () => {
  const explain = async (
    url: ServiceUrl,
    caPem: string | undefined,
  ): Promise<[number?, string?]> => {
    const error = await diagnoseConnection({ service: url, caPem, proxies: DIRECT });
    return [error?.exitCode, error?.message];
  };
  const { untrusted, unreachable } = ExitCode;
  const wrongCa = /not signed by a CA that this machine believes/;
  expect(await explain(service, otherCa.certificatePem)).toEqual([
    untrusted,
    expect.stringMatching(wrongCa),
  ]);
  expect(await explain(service, undefined)).toEqual([untrusted, expect.stringMatching(wrongCa)]);
  expect(await explain(foreignName, ca.certificatePem)).toEqual([
    untrusted,
    expect.stringMatching(/another name or address/),
  ]);
  expect(await explain(plain, ca.certificatePem)).toEqual([
    unreachable,
    expect.stringMatching(/does not speak TLS/),
  ]);
  expect(await explain(parseServiceUrl('https://127.0.0.1:1'), ca.certificatePem)).toEqual([
    unreachable,
    expect.stringMatching(/Nothing listens/),
  ]);
});

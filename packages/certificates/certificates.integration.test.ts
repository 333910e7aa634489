import { once } from 'node:events';
import { connect, createServer } from 'node:tls';
import type { ConnectionOptions, TLSSocket, TlsOptions } from 'node:tls';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  createCertificateAuthority,
  issueServerCertificate,
  issueServiceCertificate,
  peerServiceName,
} from './index.ts';
import type { CertificateAuthority, IssuedCertificate } from './index.ts';

const now = new Date();
const names = { dnsNames: ['nexodus.example'], ipAddresses: ['127.0.0.1'], now, days: 1 };

let ca: CertificateAuthority;
let otherCa: CertificateAuthority;
let server: IssuedCertificate;
let apiserver: IssuedCertificate;
let ipam: IssuedCertificate;
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  ca = await createCertificateAuthority({ commonName: 'Nexodus CA', now, years: 1 });
  otherCa = await createCertificateAuthority({ commonName: 'Nexodus CA', now, years: 1 });
  server = await issueServerCertificate({ ca, ...names });
  apiserver = await issueServiceCertificate({ ca, ...names, service: 'apiserver' });
  ipam = await issueServiceCertificate({ ca, ...names, service: 'ipam' });
});

afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

function identity(issued: IssuedCertificate): { cert: string; key: string } {
  return { cert: issued.certificatePem, key: issued.key.exportPem() };
}

/** Serves each client the name that its certificate gives it; notes why others were refused. */
async function serve(options: TlsOptions, refusals: string[] = []): Promise<number> {
  const listener = createServer(options, (socket: TLSSocket) => {
    const peer = socket.getPeerCertificate();
    const der = peer.raw === undefined ? new Uint8Array() : new Uint8Array(peer.raw);
    socket.on('error', () => socket.destroy());
    const isRefused = options.requestCert === true && !socket.authorized;
    const why = String(socket.authorizationError);
    socket.end(isRefused ? `unauthorized: ${why}` : (peerServiceName(der) ?? 'nobody'));
  });
  listener.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    refusals.push(error.code ?? error.message);
    socket.destroy();
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  closers.push(async () => {
    listener.close();
    await once(listener, 'close');
  });
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** What the server said, or the code of the error that ended the attempt. */
async function call(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ...options });
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  } finally {
    socket.destroy();
  }
}

describe('a server with an issued certificate', () => {
  test('is accepted with the CA, by its address and by its name', async () => {
    const port = await serve(identity(server));
    expect(await call(port, { ca: ca.certificatePem })).toBe('nobody');
    expect(await call(port, { ca: ca.certificatePem, servername: 'nexodus.example' })).toBe(
      'nobody',
    );
  });

  test('is refused without the CA, with another CA of the same name, and under another name', async () => {
    const port = await serve(identity(server));
    expect(await call(port, {})).toMatch(/UNABLE_TO|SELF_SIGNED/);
    expect(await call(port, { ca: otherCa.certificatePem })).toMatch(/UNABLE_TO|SIGNATURE/);
    expect(await call(port, { ca: ca.certificatePem, servername: 'other.example' })).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
  });

  test('is refused after its end', async () => {
    const past = new Date(now.getTime() - 3 * 24 * 60 * 60 * 1000);
    const expired = await issueServerCertificate({ ca, ...names, now: past });
    const port = await serve(identity(expired));
    expect(await call(port, { ca: ca.certificatePem })).toBe('CERT_HAS_EXPIRED');
  });
});

describe('a service called by another', () => {
  const mutual = (): TlsOptions => ({
    ...identity(ipam),
    ca: ca.certificatePem,
    requestCert: true,
    rejectUnauthorized: true,
  });

  test('reads the caller’s name from its verified certificate', async () => {
    const port = await serve(mutual());
    expect(await call(port, { ca: ca.certificatePem, ...identity(apiserver) })).toBe('apiserver');
  });

  test('refuses callers without certificate, of another CA, and with a server certificate', async () => {
    const refusals: string[] = [];
    const port = await serve(mutual(), refusals);
    const stranger = await issueServiceCertificate({ ca: otherCa, ...names, service: 'apiserver' });
    for (const caller of [{}, identity(stranger), identity(server)]) {
      const answer = await call(port, { ca: ca.certificatePem, ...caller });
      expect(answer).toMatch(/^$|^ERR_SSL|^ECONNRESET|^EPIPE/);
    }
    await vi.waitFor(() => expect(refusals).toHaveLength(3));
  });

  test('refuses a server certificate for its purpose', async () => {
    const port = await serve({ ...mutual(), rejectUnauthorized: false });
    const answer = await call(port, { ca: ca.certificatePem, ...identity(server) });
    expect(answer).toBe('unauthorized: INVALID_PURPOSE');
  });
});

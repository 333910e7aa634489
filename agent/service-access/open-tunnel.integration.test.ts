import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import {
  type CertificateAuthority,
  certificateFingerprint,
  createCertificateAuthority,
  issueServerCertificate,
} from '@nexodus/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ExitCode } from '../command/exit-code.ts';
import { connectTls } from './connect-tls.ts';
import { diagnoseConnection } from './explain-connect-failure.ts';
import { explainProxyFailure } from './explain-proxy-failure.ts';
import { HttpProxy, parseHttpProxy } from './http-proxy.ts';
import { openTunnel, ProxyError } from './open-tunnel.ts';
import { resolveTrust } from './service-trust.ts';
import { parseServiceUrl, type ServiceUrl } from './service-url.ts';

/** Names that only the proxies know; they all lead to the one server. */
const service: ServiceUrl = parseServiceUrl('https://nexodus.example');

const servers: TcpServer[] = [];
let ca: CertificateAuthority;
let otherCa: CertificateAuthority;
let serverPort: number;
let interceptorPort: number;

beforeAll(async () => {
  const now = new Date();
  ca = await createCertificateAuthority({ commonName: 'service', now, years: 1 });
  otherCa = await createCertificateAuthority({ commonName: 'proxy', now, years: 1 });
  serverPort = await serveTls(ca);
  interceptorPort = await serveTls(otherCa);
});

afterAll(() => {
  for (const server of servers) server.close();
});

async function listen(server: TcpServer): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function serveTls(by: CertificateAuthority): Promise<number> {
  const { certificatePem, key } = await issueServerCertificate({
    ca: by,
    dnsNames: [service.host],
    ipAddresses: [],
    now: new Date(),
    days: 1,
  });
  const cert = certificatePem + by.certificatePem;
  return listen(createTlsServer({ cert, key: key.exportPem(), ALPNProtocols: ['h2'] }));
}

type OnConnect = (request: IncomingMessage, socket: Duplex) => void;

async function serveProxy(onConnect: OnConnect): Promise<HttpProxy> {
  const server: Server = createHttpServer();
  server.on('connect', onConnect);
  return new HttpProxy('127.0.0.1', await listen(server));
}

/** A proxy that leads every tunnel to a port of this machine. */
function forwardTo(port: () => number): OnConnect {
  return (request, socket) => {
    expect(request.url).toBe('nexodus.example:443');
    const onward = connect(port(), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    for (const end of [socket, onward]) end.on('error', () => {});
  };
}

function answer(status: string): OnConnect {
  return (_request, socket) => void socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
}

test('TLS goes through a tunnel, and the proxy looks up the name', async () => {
  const proxy = await serveProxy(forwardTo(() => serverPort));
  const proxies = { proxy, exceptions: [] };
  const socket = await connectTls(service, proxies, { caPem: ca.certificatePem });
  expect([socket.authorized, socket.alpnProtocol]).toEqual([true, 'h2']);
  socket.destroy();
  const pin = certificateFingerprint(ca.certificatePem);
  const found = await resolveTrust(service, { caSha256: pin }, proxies);
  expect(certificateFingerprint(found ?? '')).toBe(pin);
});

test('what the server says with the answer of the proxy is not lost', async () => {
  const proxy = await serveProxy((_request, socket) => {
    socket.end('HTTP/1.1 200 OK\r\n\r\nhello');
  });
  const tunnel = await openTunnel(proxy, 'nexodus.example', 443);
  const [data] = (await once(tunnel.setEncoding('utf8'), 'data')) as [string];
  expect(data).toBe('hello');
  tunnel.destroy();
});

test('a proxy that inspects TLS is named as such', async () => {
  const proxy = await serveProxy(forwardTo(() => interceptorPort));
  const proxies = { proxy, exceptions: [] };
  const known = { service, proxies, caPem: ca.certificatePem };
  const error = await diagnoseConnection(known);
  expect(error?.exitCode).toBe(ExitCode.untrusted);
  expect(error?.message).toBe(
    `The certificate of ${service.origin} that comes through the proxy ${proxy.origin} is not of the service's CA: the proxy intercepts TLS`,
  );
  const unknown = await diagnoseConnection({ service, proxies });
  expect(unknown?.message).toMatch(/the proxy intercepts TLS, or the service has a CA of its own/);
  const caSha256 = certificateFingerprint(ca.certificatePem);
  await expect(resolveTrust(service, { caSha256 }, proxies)).rejects.toMatchObject({
    exitCode: ExitCode.untrusted,
    message: expect.stringMatching(/unless the pin is wrong, the proxy intercepts TLS/),
  });
});

test.for([
  ['407 Proxy Authentication Required', ExitCode.credentials, /asks for a user name and password/],
  ['403 Access denied', ExitCode.unreachable, /allows no connection to nexodus\.example:443 \(403/],
  ['502 Bad Gateway', ExitCode.unreachable, /cannot connect to nexodus\.example:443 \(502\)/],
] as const)('a proxy that answers %s ends with %i', async ([status, exitCode, message]) => {
  const proxy = await serveProxy(answer(status));
  const error = await diagnoseConnection({ service, proxies: { proxy, exceptions: [] } });
  expect(error).toMatchObject({ exitCode, message: expect.stringMatching(message) });
});

test('a password is sent by basic authentication, and a refused one is not repeated', async () => {
  const seen: unknown[] = [];
  const bare = await serveProxy((request, socket) => {
    seen.push(request.headers['proxy-authorization']);
    answer('407 Proxy Authentication Required')(request, socket);
  });
  const proxy = parseHttpProxy(`http://me:s%3Acret@127.0.0.1:${bare.port}`, '--proxy');
  const error = await diagnoseConnection({ service, proxies: { proxy, exceptions: [] } });
  expect(seen).toEqual([`Basic ${Buffer.from('me:s:cret').toString('base64')}`]);
  expect(error?.exitCode).toBe(ExitCode.credentials);
  expect(error?.message).toMatch(/does not accept the user name and password \(407\)$/);
  expect(`${error?.line('nexd')}${String(error?.stack)}`).not.toMatch(/cret/);
});

test('nobody there, no HTTP, an end and silence are told apart', async () => {
  const plain = await listen(createTcpServer((socket) => void socket.end('220 mail ready\r\n')));
  const closing = await listen(createTcpServer((socket) => void socket.destroy()));
  const silent = await listen(createTcpServer());
  const say = async (proxy: HttpProxy): Promise<string> => {
    const error = await openTunnel(proxy, 'nexodus.example', 443, { timeoutMs: 200 }).then(
      () => new Error('a tunnel'),
      (cause: unknown) => cause,
    );
    if (!(error instanceof ProxyError)) throw error;
    const { exitCode, message } = explainProxyFailure(error);
    return `${exitCode} ${message}`;
  };
  const at = (port: number): HttpProxy => new HttpProxy('127.0.0.1', port);
  expect(await say(at(1))).toBe('7 Nothing listens at the proxy http://127.0.0.1:1');
  expect(await say(at(plain))).toMatch(/^7 What answers at the proxy .* is no HTTP proxy$/);
  expect(await say(at(closing))).toMatch(/^7 No connection to the proxy .* comes about/);
  expect(await say(at(silent))).toMatch(/^7 No answer comes from the proxy/);
});

test('an abort ends the waiting with its reason', async () => {
  const silent = new HttpProxy('127.0.0.1', await listen(createTcpServer()));
  const abort = new AbortController();
  const waiting = openTunnel(silent, 'nexodus.example', 443, { signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(
    openTunnel(silent, 'nexodus.example', 443, { signal: abort.signal }),
  ).rejects.toThrow('enough');
});

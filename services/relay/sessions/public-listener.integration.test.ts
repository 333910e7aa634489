import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { connect as connectTcp } from 'node:net';
import { createCertificateAuthority, issueServerCertificate } from '@nexodus/certificates';
import { afterEach, expect, test } from 'vitest';
import { createPublicListener, type PublicListenerOptions } from './public-listener.ts';

let stack = new AsyncDisposableStack();

afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function start(changes: Partial<PublicListenerOptions> = {}) {
  const now = new Date();
  const ca = await createCertificateAuthority({ commonName: 'test', now, years: 1 });
  const ipAddresses = ['127.0.0.1'];
  const leaf = await issueServerCertificate({ ca, dnsNames: [], ipAddresses, now, days: 1 });
  const upgraded: string[] = [];
  const listener = createPublicListener({
    host: '127.0.0.1',
    port: 0,
    tls: { certificate: leaf.certificatePem, key: leaf.key.exportPem() },
    connectionsPerSource: 10,
    grpcSocket: () => '/nowhere',
    handleUpgrade: ({ url = '' }) => upgraded.push(url),
    ...changes,
  });
  await listener.part.start();
  stack.defer(() => listener.part.stop());
  const open = async (options: ConnectionOptions = {}): Promise<TLSSocket> => {
    const place = { host: '127.0.0.1', port: listener.port(), ca: ca.certificatePem };
    const socket = connect({ ...place, ...options });
    socket.on('error', () => socket.destroy());
    stack.defer(() => void socket.destroy());
    await once(socket, 'secureConnect');
    socket.resume();
    return socket;
  };
  return { listener, open, upgraded };
}

test.each([
  ['says nothing', undefined, ''],
  ['stops in the middle of its request', ['http/1.1'], 'GET /derp HTTP/1.1\r\nhost: '],
])('a client that %s is cut', async (_what, ALPNProtocols, text) => {
  const { open } = await start({ openingMs: 200 });
  const socket = await open({ ...(ALPNProtocols && { ALPNProtocols }) });
  socket.write(text);
  await once(socket, 'close');
});

test('a client that has asked for its upgrade is left alone', async () => {
  const { open, upgraded } = await start({ openingMs: 200 });
  const socket = await open({ ALPNProtocols: ['http/1.1'] });
  const silent = await open();
  socket.write('GET /derp HTTP/1.1\r\nhost: x\r\nupgrade: DERP\r\nconnection: upgrade\r\n\r\n');
  await once(silent, 'close');
  expect(upgraded).toEqual(['/derp']);
  expect(socket.destroyed).toBe(false);
});

test('it stops at once though a client does not finish its handshake', async () => {
  const { listener } = await start();
  const socket = connectTcp(listener.port(), '127.0.0.1');
  stack.defer(() => void socket.destroy());
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  const startedAtMs = performance.now();
  await Promise.all([listener.part.stop(), once(socket, 'close')]);
  expect(performance.now() - startedAtMs).toBeLessThan(5_000);
});

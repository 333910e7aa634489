import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { eventually } from '@nexodus/clock/testing';
import { afterEach, describe, expect, test } from 'vitest';
import type { UdpAdapter, UdpLoopOptions, UdpSocketOptions } from './udp-loop.ts';
import type { Command, CommandedDatagram, Endpoint, Told } from './udp-loop-program.fixture.ts';
import { startUdpWorker } from './udp-worker.ts';

const ENTRY = new URL('./udp-loop-program.fixture.ts', import.meta.url);
const HOSTS = ['127.0.0.1', '::1'];
/** Room for everything that a test sends at once. */
const BUFFER_BYTES = 2_000_000;

type ToldOf<K extends Told['told']> = Extract<Told, { told: K }>;

/** The promises of UdpLoop, for one adapter. */
export function describeUdpLoop(adapter: UdpAdapter): void {
  const stops: (() => Promise<unknown> | void)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  async function start(loop: UdpLoopOptions = {}) {
    const told: Told[] = [];
    const failures: Error[] = [];
    const worker = await startUdpWorker({
      entry: ENTRY,
      adapter,
      loop,
      // The program posts nothing else.
      onMessage: (message) => told.push(message as Told),
      onFailure: (error) => failures.push(error),
    });
    stops.push(() => worker.stop());
    const tell = (command: Command): void => worker.post(command);
    // `told` narrows what it finds.
    const all = <K extends Told['told']>(kind: K): ToldOf<K>[] =>
      told.filter((one): one is ToldOf<K> => one.told === kind);
    const next = async <K extends Told['told']>(kind: K): Promise<ToldOf<K>> => {
      const found = await eventually(() => all(kind)[0] ?? false);
      told.splice(told.indexOf(found), 1);
      return found;
    };
    const ask = async (options: UdpSocketOptions): Promise<ToldOf<'opened'>> => {
      tell({ do: 'open', options });
      return await next('opened');
    };
    const open = async (host: string, more: Partial<UdpSocketOptions> = {}) => {
      const { result } = await ask({
        address: host,
        port: 0,
        receiveBufferBytes: BUFFER_BYTES,
        ...more,
      });
      if ('error' in result) throw result.error;
      return { socket: result.socket, address: host, port: result.port };
    };
    const count = async (): Promise<ToldOf<'counters'>> => {
      tell({ do: 'count' });
      return await next('counters');
    };
    return { worker, tell, all, ask, open, next, count, failures };
  }

  async function openPeer(host: string) {
    const socket = createSocket({
      type: isIPv6(host) ? 'udp6' : 'udp4',
      recvBufferSize: BUFFER_BYTES,
    });
    const received: string[] = [];
    socket.on('message', (bytes) => received.push(bytes.toString('latin1')));
    socket.bind(0, host);
    await once(socket, 'listening');
    stops.push(() => new Promise<void>((resolve) => socket.close(() => resolve())));
    const send = (text: string, to: Endpoint): void => sendText(socket, text, to);
    return { send, received, endpoint: { address: host, port: socket.address().port } };
  }

  describe('receiving and sending', () => {
    test.each(HOSTS)(
      'a datagram on %s comes with its source, and its echo goes back',
      async (host) => {
        const { open, tell, next, count } = await start();
        const at = await open(host);
        const peer = await openPeer(host);
        peer.send('hello', at);
        expect(await next('received')).toEqual({
          told: 'received',
          socket: at.socket,
          from: peer.endpoint,
          text: 'hello',
          segmentBytes: 0,
        });
        tell({ do: 'echo' });
        await count();
        peer.send('', at);
        peer.send('again', at);
        await eventually(() => peer.received.length === 2);
        expect(peer.received).toEqual(['', 'again']);
      },
    );

    test('the order of a sender is kept, in and out', async () => {
      const { open, tell, count } = await start({ batchSize: 16 });
      const at = await open('127.0.0.1');
      const peer = await openPeer('127.0.0.1');
      tell({ do: 'echo' });
      await count();
      const texts = Array.from({ length: 200 }, (_none, index) => `datagram ${index}`);
      for (const text of texts) peer.send(text, at);
      await eventually(() => peer.received.length === texts.length);
      expect(peer.received).toEqual(texts);
      expect(await count()).toMatchObject({ received: 200, sent: 200, unsent: 0, oversized: 0 });
    });

    test('what is sent in one call leaves in order, more of it than any queue has places', async () => {
      const { open, tell } = await start();
      const [one, other] = [await open('127.0.0.1'), await open('127.0.0.1')];
      const peer = await openPeer('127.0.0.1');
      const datagrams = Array.from({ length: 600 }, (_none, index) => ({
        socket: index % 7 < 4 ? one.socket : other.socket,
        to: peer.endpoint,
        bytes: Buffer.from(`datagram ${index}`),
      }));
      tell({ do: 'send', datagrams });
      await eventually(() => peer.received.length === 600);
      expect(peer.received).toEqual(datagrams.map(({ bytes }) => bytes.toString()));
    });

    test('large datagrams leave, though copies of them fill any buffer', async () => {
      const { open, tell, count } = await start();
      const at = await open('127.0.0.1');
      const peers = await Promise.all(Array.from({ length: 6 }, () => openPeer('127.0.0.1')));
      const texts = ['a', 'b'].map((letter) => letter.repeat(60_000));
      const datagrams = texts.flatMap((text) =>
        peers.map(({ endpoint }) => ({
          socket: at.socket,
          to: endpoint,
          bytes: Buffer.from(text),
        })),
      );
      tell({ do: 'send', datagrams });
      await eventually(() => peers.every(({ received }) => received.length === 2));
      for (const { received } of peers) expect(received).toEqual(texts);
      expect(await count()).toMatchObject({ sent: 12, unsent: 0 });
    });

    test('one socket sends on what another received, over families', async () => {
      const { open, tell, count } = await start();
      const [four, six] = [await open('127.0.0.1'), await open('::1')];
      const [sender, receiver] = [await openPeer('127.0.0.1'), await openPeer('::1')];
      tell({ do: 'forward', from: four.socket, by: six.socket, to: receiver.endpoint });
      await count();
      for (const text of ['one', 'two', 'three']) sender.send(text, four);
      await eventually(() => receiver.received.length === 3);
      expect(receiver.received).toEqual(['one', 'two', 'three']);
    });

    test('each of many sockets has its own handle and port', async () => {
      const { open, all } = await start();
      const opened = [];
      for (let index = 0; index < 100; index += 1) {
        opened.push(await open(HOSTS[index % 2]!, { receiveBufferBytes: undefined }));
      }
      expect(new Set(opened.map(({ socket }) => socket)).size).toBe(100);
      const peers = [await openPeer('127.0.0.1'), await openPeer('::1')];
      for (const [index, at] of opened.entries()) peers[index % 2]!.send(`to ${at.port}`, at);
      await eventually(() => all('received').length === 100);
      const byHandle = new Map(all('received').map(({ socket, text }) => [socket, text]));
      expect(byHandle).toEqual(new Map(opened.map(({ socket, port }) => [socket, `to ${port}`])));
    });
  });

  describe('aggregates', () => {
    test('several datagrams in one leave as several', async () => {
      const { open, tell, count } = await start();
      const at = await open('::1');
      const peer = await openPeer('::1');
      const pieces = Array.from({ length: 11 }, (_none, index) => String.fromCharCode(97 + index));
      const texts = pieces.map((piece, index) => piece.repeat(index === 10 ? 50 : 100));
      const bytes = Buffer.from(texts.join(''));
      tell({
        do: 'send',
        datagrams: [{ socket: at.socket, to: peer.endpoint, bytes, segmentBytes: 100 }],
      });
      await eventually(() => peer.received.length === 11);
      expect(peer.received).toEqual(texts);
      expect(await count()).toMatchObject({ sent: 11, unsent: 0 });
    });

    test('more datagrams than the kernel takes as one leave nevertheless', async () => {
      const { open, tell, count } = await start();
      const at = await open('127.0.0.1');
      const peer = await openPeer('127.0.0.1');
      const bytes = Buffer.alloc(2_000, 'x');
      tell({
        do: 'send',
        datagrams: [{ socket: at.socket, to: peer.endpoint, bytes, segmentBytes: 10 }],
      });
      await eventually(() => peer.received.length === 200);
      expect(await count()).toMatchObject({ sent: 200, unsent: 0 });
    });

    test('what a loop receives as one, it sends on as what it was', async () => {
      const sender = await start();
      const echo = await start({ receiveOffload: true });
      const [from, at] = [await sender.open('127.0.0.1'), await echo.open('127.0.0.1')];
      echo.tell({ do: 'echo' });
      await echo.count();
      const bytes = Buffer.alloc(20_700, 'x');
      const datagram = { socket: from.socket, to: at, bytes, segmentBytes: 1_000 };
      sender.tell({ do: 'send', datagrams: [datagram, { ...datagram, bytes: Buffer.from('y') }] });
      await eventually(() => sender.all('received').length === 22);
      expect(sender.all('received').map(({ text }) => text.length)).toEqual([
        ...Array.from({ length: 20 }, () => 1_000),
        700,
        1,
      ]);
      expect(await echo.count()).toMatchObject({ received: 22, sent: 22, unsent: 0 });
    });
  });

  describe('trouble', () => {
    test('a datagram that is too large is dropped and counted, its neighbours are not', async () => {
      const { open, all, count } = await start({ datagramBytes: 1_024 });
      const at = await open('127.0.0.1');
      const peer = await openPeer('127.0.0.1');
      for (const text of ['before', 'x'.repeat(1_025), 'between', 'x'.repeat(5_000), 'after']) {
        peer.send(text, at);
      }
      peer.send('y'.repeat(1_024), at);
      await eventually(() => all('received').length === 4);
      expect(all('received').map(({ text }) => text)).toEqual([
        'before',
        'between',
        'after',
        'y'.repeat(1_024),
      ]);
      expect(all('received').every(({ from }) => from.port === peer.endpoint.port)).toBe(true);
      expect(await count()).toMatchObject({ received: 4, oversized: 2 });
    });

    test('what the system refuses to send is counted, and the rest goes', async () => {
      const { open, tell, count } = await start();
      const at = await open('127.0.0.1');
      const peer = await openPeer('127.0.0.1');
      const good: CommandedDatagram = {
        socket: at.socket,
        to: peer.endpoint,
        bytes: Buffer.from('good'),
      };
      const bad: CommandedDatagram[] = [
        { ...good, to: { address: '127.0.0.1', port: 0 } },
        { ...good, to: { address: '255.255.255.255', port: 9 } },
        { ...good, bytes: Buffer.alloc(65_510) },
        { ...good, bytes: Buffer.alloc(300_000) },
        { ...good, socket: 4_711 },
      ];
      tell({ do: 'send', datagrams: bad.flatMap((one) => [good, one, good]) });
      await eventually(() => peer.received.length === 10);
      await eventually(async () => (await count()).unsent === 5);
      expect(await count()).toMatchObject({ sent: 10, unsent: 5 });
    });

    test('closed ports at the other end do not disturb the others', async () => {
      const { open, tell, count } = await start();
      const at = await open('127.0.0.1');
      const closed = await openClosedPort();
      const peer = await openPeer('127.0.0.1');
      const lost = { socket: at.socket, to: closed, bytes: Buffer.from('lost') };
      for (let round = 0; round < 20; round += 1) {
        tell({ do: 'send', datagrams: [lost, { ...lost, to: peer.endpoint }] });
      }
      await eventually(() => peer.received.length === 20);
      tell({ do: 'echo' });
      await count();
      peer.send('hello', at);
      await eventually(() => peer.received.includes('hello'));
    });
  });

  describe('sockets', () => {
    test('closing sends what is queued, then nothing arrives and nothing is sent', async () => {
      const { open, tell, count, all, next } = await start();
      const at = await open('127.0.0.1');
      const other = await open('127.0.0.1');
      const peer = await openPeer('127.0.0.1');
      const datagrams = Array.from({ length: 50 }, (_none, index) => ({
        socket: at.socket,
        to: peer.endpoint,
        bytes: Buffer.from(`datagram ${index}`),
      }));
      tell({ do: 'send', datagrams, thenClose: at.socket });
      await eventually(() => peer.received.length === 50);
      peer.send('too late', at);
      tell({ do: 'send', datagrams: datagrams.slice(0, 3) });
      tell({ do: 'close', socket: at.socket });
      peer.send('in time', other);
      expect(await next('received')).toMatchObject({ text: 'in time', socket: other.socket });
      expect(all('received')).toEqual([]);
      expect(await count()).toMatchObject({ sent: 50, unsent: 3 });
    });

    test('a handle that was closed is used again', async () => {
      const { open, tell, next } = await start();
      const first = await open('127.0.0.1');
      tell({ do: 'close', socket: first.socket });
      const second = await open('127.0.0.1');
      expect(second.socket).toBe(first.socket);
      const peer = await openPeer('127.0.0.1');
      peer.send('to the second', second);
      expect(await next('received')).toMatchObject({ text: 'to the second' });
    });

    test('why a socket cannot be opened is told by the name of the error', async () => {
      const { ask, open } = await start();
      const taken = await open('127.0.0.1');
      const again = await ask({ address: '127.0.0.1', port: taken.port });
      expect(again.result).toMatchObject({
        error: { message: expect.stringContaining('EADDRINUSE') },
      });
      const strange = await ask({ address: '192.0.2.1', port: 0 });
      expect(strange.result).toMatchObject({
        error: { message: expect.stringContaining('EADDRNOTAVAIL') },
      });
      expect([again.wasInside, strange.wasInside]).toEqual([false, false]);
    });

    test('an IPv6 wildcard leaves the port free for IPv4', async () => {
      const { open } = await start();
      const six = await open('::');
      const four = await open('0.0.0.0', { port: six.port });
      expect(four.port).toBe(six.port);
    });

    test('workers share a port where they say so', async () => {
      const [one, other] = [await start(), await start()];
      const first = await one.open('127.0.0.1', { reusePort: true });
      const second = await other.open('127.0.0.1', { reusePort: true, port: first.port });
      expect(second.port).toBe(first.port);
      const peers = await Promise.all(Array.from({ length: 32 }, () => openPeer('127.0.0.1')));
      for (const peer of peers) peer.send('hello', first);
      await eventually(() => one.all('received').length + other.all('received').length === 32);
      expect(one.all('received').length).toBeGreaterThan(0);
      expect(other.all('received').length).toBeGreaterThan(0);
    });
  });

  describe('messages, deadlines and the end', () => {
    test('a message wakes an idle loop at once', async () => {
      const { count } = await start();
      const beganAtMs = performance.now();
      for (let round = 0; round < 20; round += 1) await count();
      // A loop that only looked now and then would take longer for one.
      expect(performance.now() - beganAtMs).toBeLessThan(10_000);
    });

    test('only the last deadline holds, and it is not called early', async () => {
      const { tell, next, all, count } = await start();
      tell({ do: 'wake', inMs: [5, 60_000, 40] });
      expect((await next('woken')).earlyMs).toBeLessThanOrEqual(0);
      tell({ do: 'wake', inMs: [20, Infinity] });
      tell({ do: 'wake', inMs: [30] });
      await next('woken');
      await count();
      expect(all('woken')).toEqual([]);
    });

    test('a program that throws ends the worker, says why and frees its ports', async () => {
      const { open, tell, failures } = await start();
      const at = await open('127.0.0.1');
      tell({ do: 'throw' });
      await eventually(() => failures.length > 0);
      expect(failures).toMatchObject([{ message: 'told to' }]);
      const next = await start();
      expect(await next.open('127.0.0.1', { port: at.port })).toMatchObject({ port: at.port });
    });

    test('stopping sends what was told before, frees the ports and is no failure', async () => {
      const { open, tell, worker, failures } = await start();
      const at = await open('127.0.0.1');
      const peer = await openPeer('127.0.0.1');
      const bytes = Buffer.from('farewell');
      tell({ do: 'send', datagrams: [{ socket: at.socket, to: peer.endpoint, bytes }] });
      await worker.stop();
      await worker.stop();
      await eventually(() => peer.received.length === 1);
      expect(failures).toEqual([]);
      const next = await start();
      expect(await next.open('127.0.0.1', { port: at.port })).toMatchObject({ port: at.port });
    });
  });

  async function openClosedPort(): Promise<Endpoint> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { address, port } = socket.address();
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    return { address, port };
  }
}

function sendText(socket: Socket, text: string, to: Endpoint): void {
  socket.send(Buffer.from(text, 'latin1'), to.port, to.address);
}

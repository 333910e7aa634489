import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { eventually } from '@nexodus/clock/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPeerLinks, type PeerLink, type PeerLinks } from './peer-links.ts';

/** Stands where the tunnel listens. */
let tunnel: Socket;
let heard: Buffer[];
let links: PeerLinks;

beforeEach(async () => {
  heard = [];
  tunnel = await openSocket();
  tunnel.on('message', (datagram) => heard.push(datagram));
  links = createPeerLinks(() => tunnel.address().port);
});

afterEach(async () => {
  await links.close();
  tunnel.close();
});

async function openSocket(): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

async function openLink(): Promise<{ link: PeerLink; received: string[] }> {
  const received: string[] = [];
  const link = await links.open({
    onDatagram: (datagram) => received.push(Buffer.from(datagram).toString()),
    onLost: () => received.push('lost'),
  });
  return { link, received };
}

function sendFrom(socket: Socket, { endpoint }: PeerLink, text: string): void {
  socket.send(text, Number(endpoint.split(':')[1]), '127.0.0.1');
}

test('each peer has a socket of its own, whose datagrams go to and come from the tunnel', async () => {
  const [a, b] = [await openLink(), await openLink()];
  expect(a.link.endpoint).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(a.link.endpoint).not.toBe(b.link.endpoint);
  sendFrom(tunnel, a.link, 'for a');
  sendFrom(tunnel, b.link, 'for b');
  await eventually(() => expect([a.received, b.received]).toEqual([['for a'], ['for b']]));
  for (const text of ['1', '22', '22', '333']) a.link.deliver(Buffer.from(text));
  await eventually(() => expect(heard.map(String)).toEqual(['1', '22', '22', '333']));
});

test('datagrams of every size keep their order and their bytes', async () => {
  const { link } = await openLink();
  const sizes = Array.from({ length: 60 }, (_unused, index) => 32 + ((index * 37) % 1_400));
  for (const [index, size] of sizes.entries()) link.deliver(Buffer.alloc(size, index));
  await eventually(() => expect(heard).toHaveLength(sizes.length));
  expect(heard).toEqual(sizes.map((size, index) => Buffer.alloc(size, index)));
});

test('who is not the tunnel is not heard', async () => {
  const { link, received } = await openLink();
  const stranger = await openSocket();
  sendFrom(stranger, link, 'from a stranger');
  sendFrom(tunnel, link, 'from the tunnel');
  await eventually(() => expect(received).toEqual(['from the tunnel']));
  stranger.close();
});

test('megabytes beyond what may wait are taken one after the other', async () => {
  const { link, received } = await openLink();
  const text = 'x'.repeat(1_400);
  for (let round = 1; round <= 60; round += 1) {
    for (let index = 0; index < 100; index += 1) sendFrom(tunnel, link, text);
    await eventually(() => expect(received).toHaveLength(round * 100));
  }
});

test('a closed link is silent, and its socket is free', async () => {
  const [a, b] = [await openLink(), await openLink()];
  a.link.close();
  a.link.close();
  a.link.deliver(Buffer.from('too late'));
  sendFrom(tunnel, a.link, 'too late');
  b.link.deliver(Buffer.from('after it'));
  await eventually(() => expect(heard.map(String)).toEqual(['after it']));
  expect(a.received).toEqual([]);
  const again = createSocket('udp4').bind(Number(a.link.endpoint.split(':')[1]), '127.0.0.1');
  await once(again, 'listening');
  again.close();
});

import { randomBytes } from 'node:crypto';
import { duplexPair, type Duplex } from 'node:stream';
import { ManualClock } from '@nexodus/clock';
import { WireGuardPrivateKey, X25519PrivateKey } from '@nexodus/wireguard';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openDerpClient, type DerpClient, type DerpClientOptions } from './derp-client.ts';
import { DerpFormatError } from './derp-format-error.ts';
import { encodeFrame, encodeHealth } from './encode-frame.ts';
import { ServerHandshake } from './server-handshake.ts';
import { createPlainPeer, logInAsServer, type PlainPeer } from './testing.ts';

const privateKey = WireGuardPrivateKey.generate();
const peerKey = WireGuardPrivateKey.generate().publicKey;
const streams: Duplex[] = [];
afterEach(() => {
  for (const stream of streams.splice(0)) stream.destroy();
});

function open(change: Partial<DerpClientOptions> = {}) {
  const [near, far] = duplexPair();
  streams.push(near, far);
  far.on('error', () => far.destroy());
  const clock = new ManualClock();
  const heard = {
    onPacket: vi.fn<DerpClientOptions['onPacket']>(),
    onPeerGone: vi.fn<NonNullable<DerpClientOptions['onPeerGone']>>(),
    onHealth: vi.fn<NonNullable<DerpClientOptions['onHealth']>>(),
    onRestarting: vi.fn<NonNullable<DerpClientOptions['onRestarting']>>(),
  };
  const opening = openDerpClient({
    stream: near,
    privateKey,
    clock,
    random: randomBytes,
    ...heard,
    ...change,
  });
  // Some tests look at it later.
  opening.catch(() => {});
  return { opening, server: createPlainPeer(far), near, clock, heard };
}

async function connect(change: Partial<DerpClientOptions> = {}) {
  const { opening, server, ...rest } = open(change);
  await logInAsServer(server, { version: 2, TokenBucketBytesPerSecond: 5_000 });
  const client: DerpClient = await opening;
  return { client, server, ...rest };
}

describe('with a server written from the description alone', () => {
  test('it logs in with its key and says that it answers pings', async () => {
    const { opening, server } = open({ channelBinding: new Uint8Array(32).fill(1) });
    const { clientKey, clientInfo } = await logInAsServer(server);
    expect(clientKey).toEqual(Buffer.from(privateKey.publicKey));
    expect(clientInfo).toEqual({
      version: 2,
      CanAckPings: true,
      nexodusChannelBinding: Buffer.alloc(32, 1).toString('base64'),
    });
    expect((await opening).serverInfo).toEqual({});
  });

  test('it hears what the server takes', async () => {
    const { client } = await connect();
    expect(client.serverInfo).toEqual({ bytesPerSecond: 5_000 });
  });

  test('packets go out and come in with their keys', async () => {
    const { client, server, heard } = await connect();
    expect(client.send(peerKey, Uint8Array.of(1, 2, 3))).toBe(true);
    expect(client.send(peerKey, Uint8Array.of(4))).toBe(true);
    expect(await server.read()).toEqual({ type: 4, payload: Buffer.from([...peerKey, 1, 2, 3]) });
    expect(await server.read()).toEqual({ type: 4, payload: Buffer.from([...peerKey, 4]) });
    server.write(5, peerKey, Uint8Array.of(9));
    server.write(5, peerKey, Uint8Array.of(8));
    await expect.poll(() => heard.onPacket.mock.calls.length).toBe(2);
    const [first, second] = heard.onPacket.mock.calls;
    expect([...(first?.[0] ?? [])]).toEqual([...peerKey]);
    expect([...(first?.[1] ?? [])]).toEqual([9]);
    expect(second?.[0]).toBe(first?.[0]);
  });

  test('many packets of all sizes arrive whole', async () => {
    const { client, server } = await connect({ queueBytes: 4_000_000 });
    const sizes = [0, 1, 1_400, 30_000, 65_536, 65_536, 1, 1_400];
    for (const size of sizes) expect(client.send(peerKey, new Uint8Array(size))).toBe(true);
    for (const size of sizes) expect((await server.read()).payload).toHaveLength(32 + size);
    expect(client.send(peerKey, new Uint8Array(65_537))).toBe(false);
  });

  test('frames that come together with the end of the handshake are heard', async () => {
    const { opening, server, heard } = open();
    const handshake = new ServerHandshake({ serverKey: X25519PrivateKey.generate('derp') });
    server.stream.write(handshake.greeting);
    const { type, payload } = await server.read();
    const bytes = encodeFrame(type, payload);
    const proven = handshake.prove({ type, bytes, start: 0, end: bytes.length });
    const welcome = proven.welcome({}, randomBytes(24));
    server.stream.write(Buffer.concat([welcome, encodeHealth('slow'), encodeHealth('')]));
    await opening;
    await expect.poll(() => heard.onHealth.mock.calls).toEqual([['slow'], ['']]);
  });

  test('it tells of peers that are gone, of health and of restarts', async () => {
    const { server, heard } = await connect();
    server.write(8, peerKey, Uint8Array.of(0));
    server.write(8, peerKey, Uint8Array.of(1));
    server.write(8, new Uint8Array(32), Uint8Array.of(1));
    server.write(0x15, Buffer.from('000003e800001388', 'hex'));
    await expect
      .poll(() => heard.onRestarting.mock.calls)
      .toEqual([[{ reconnectInMs: 1_000, tryForMs: 5_000 }]]);
    expect(heard.onPeerGone.mock.calls.map(([, reason]) => reason)).toEqual([
      'disconnected',
      'not-here',
    ]);
  });

  test('it answers pings, and measures its own', async () => {
    const { client, server, clock } = await connect();
    server.write(0x12, Buffer.from('12345678'));
    expect(await server.read()).toEqual({ type: 0x13, payload: Buffer.from('12345678') });
    const pinged = client.ping();
    const { type, payload } = await server.read();
    expect(type).toBe(0x12);
    clock.advance(25);
    server.write(0x13, Buffer.from('unasked!'));
    server.write(0x13, payload);
    expect(await pinged).toBe(25);
  });

  test('it says whether the server is its home', async () => {
    const { client, server } = await connect();
    client.notePreferred(true);
    expect(await server.read()).toEqual({ type: 7, payload: Buffer.of(1) });
  });
});

describe('it ends', () => {
  const end = async ({ client }: { client: DerpClient }): Promise<unknown> => {
    const why = await client.closed;
    expect(client.send(peerKey, new Uint8Array(1))).toBe(false);
    await expect(client.ping()).rejects.toMatchObject({ reason: 'closed' });
    return why;
  };

  test('when it is closed, without an error', async () => {
    const connected = await connect();
    const pinged = connected.client.ping();
    connected.client.close();
    await expect(pinged).rejects.toMatchObject({ reason: 'closed' });
    expect(await end(connected)).toBeUndefined();
    expect(connected.near.destroyed).toBe(true);
    expect(connected.clock.pendingTimers).toBe(0);
  });

  test('when the server hangs up', async () => {
    const connected = await connect();
    connected.server.stream.end();
    expect(await end(connected)).toMatchObject({ reason: 'closed' });
  });

  test('when nothing is heard for two minutes, and not before', async () => {
    const connected = await connect();
    connected.clock.advance(119_000);
    connected.server.write(6);
    await expect.poll(() => connected.near.readableLength).toBe(0);
    await expect.poll(() => connected.clock.pendingTimers).toBe(1);
    connected.server.write(0x12, Buffer.from('12345678'));
    await connected.server.read();
    connected.clock.advance(119_000);
    expect(connected.near.destroyed).toBe(false);
    connected.clock.advance(1_000);
    expect(await end(connected)).toMatchObject({ reason: 'silent' });
  });

  test.each([
    ['a frame that is too long', 5, new Uint8Array(32 + 65_537)],
    ['a frame that is too short', 5, new Uint8Array(31)],
    ['a second greeting', 1, new Uint8Array(40)],
  ])('on %s', async (_name, type, payload) => {
    const connected = await connect();
    connected.server.write(type, payload);
    expect(await end(connected)).toBeInstanceOf(DerpFormatError);
  });
});

describe('the handshake fails', () => {
  const greet = (server: PlainPeer): void => server.write(1, Buffer.from('DERP🔑'), peerKey);

  test('with the words of the server', async () => {
    const { opening, server, near } = open();
    greet(server);
    await server.read();
    server.write(0x14, Buffer.from('nobody knows you'));
    await expect(opening).rejects.toMatchObject({
      reason: 'refused',
      message: 'The relay refuses: nobody knows you',
    });
    expect(near.destroyed).toBe(true);
  });

  test('when it takes too long', async () => {
    const { opening, clock } = open();
    clock.advance(10_000);
    await expect(opening).rejects.toMatchObject({ reason: 'timeout' });
  });

  test('when the server hangs up, or had already', async () => {
    const { opening, server, near } = open();
    server.stream.end();
    await expect(opening).rejects.toMatchObject({ reason: 'closed' });
    await expect(open({ stream: near }).opening).rejects.toMatchObject({ reason: 'closed' });
  });

  test('when it is given up, or was before', async () => {
    const abort = new AbortController();
    const { opening, clock } = open({ signal: abort.signal });
    abort.abort();
    await expect(opening).rejects.toMatchObject({ reason: 'aborted' });
    expect(clock.pendingTimers).toBe(0);
    await expect(open({ signal: abort.signal }).opening).rejects.toMatchObject({
      reason: 'aborted',
    });
  });

  test('when the server speaks another protocol', async () => {
    const { opening, server } = open();
    server.stream.write('HTTP/1.1 200 OK\r\n');
    await expect(opening).rejects.toBeInstanceOf(DerpFormatError);
  });
});

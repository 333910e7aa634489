import { once } from 'node:events';
import { ManualClock } from '@nexodus/clock';
import { DerpConnectionError, openDerpClient } from '@nexodus/derp/connection';
import { logInAsClient, readGreeting, sendClientInfo, type PlainPeer } from '@nexodus/derp/testing';
import {
  WireGuardPrivateKey,
  formatX25519PublicKey,
  x25519PublicKeysEqual,
  type WireGuardPublicKey,
} from '@nexodus/wireguard';
import { afterEach, describe, expect, test } from 'vitest';
import {
  PLAIN_REQUEST,
  ask,
  connectTls,
  join,
  joinPlain,
  openPlain,
  startLane,
  type LaneChanges,
  type RunningLane,
} from './tls-lane.fixture.ts';

const stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

const [alice, bob, carol] = [1, 2, 3].map(() => WireGuardPrivateKey.generate()) as [
  WireGuardPrivateKey,
  WireGuardPrivateKey,
  WireGuardPrivateKey,
];
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const nameOf = (key: WireGuardPrivateKey): string => formatX25519PublicKey(key.publicKey);
const isPair = (from: WireGuardPublicKey, to: WireGuardPublicKey, ...pair: WireGuardPrivateKey[]) =>
  [from, to].every((key) => pair.some((one) => x25519PublicKeysEqual(one.publicKey, key)));

async function start(changes: LaneChanges = {}): Promise<RunningLane> {
  const running = await startLane(changes);
  stops.push(() => running.stop());
  return running;
}

/** The next frame that is not a sign of life. */
async function nextFrame(peer: PlainPeer): Promise<{ type: number; payload: Buffer }> {
  for (;;) {
    const frame = await peer.read();
    if (frame.type !== 0x06 && frame.type !== 0x12) return frame;
  }
}

/** Waits until the lane knows that what it wrote so far has left: a clock that is moved leaves no time for that. */
async function settle(...peers: readonly PlainPeer[]): Promise<void> {
  for (const peer of [...peers, ...peers]) {
    peer.write(0x12, text('settled?'));
    while ((await nextFrame(peer)).type !== 0x13);
  }
}

async function hasEnded(peer: PlainPeer): Promise<string[]> {
  const problems: string[] = [];
  try {
    for (;;) {
      const { type, payload } = await peer.read();
      if (type === 0x14) problems.push(payload.toString());
    }
  } catch {
    return problems;
  }
}

describe('between two devices', () => {
  test('packets go both ways with the key of their sender', async () => {
    const lane = await start();
    const [a, b] = [await join(lane, alice), await join(lane, bob)];
    a.client.send(bob.publicKey, text('from a'));
    await expect.poll(() => b.packets).toEqual([{ from: nameOf(alice), text: 'from a' }]);
    b.client.send(alice.publicKey, text('from b'));
    b.client.send(alice.publicKey, text('again'));
    await expect
      .poll(() => a.packets)
      .toEqual([
        { from: nameOf(bob), text: 'from b' },
        { from: nameOf(bob), text: 'again' },
      ]);
  });

  test('it makes no difference that one is a client that shares no code with ours', async () => {
    const lane = await start();
    const a = await join(lane, alice);
    const b = await joinPlain(lane, bob, { version: 2, CanAckPings: true, IsProber: false });
    b.write(4, alice.publicKey, text('from b'));
    await expect.poll(() => a.packets).toEqual([{ from: nameOf(bob), text: 'from b' }]);
    a.client.send(bob.publicKey, text('from a'));
    const { type, payload } = await nextFrame(b);
    expect(type).toBe(5);
    expect(payload).toEqual(Buffer.concat([alice.publicKey, text('from a')]));
    b.write(0x12, text('12345678'));
    expect(await nextFrame(b)).toEqual({ type: 0x13, payload: Buffer.from('12345678') });
  });

  test('packets of all sizes to several destinations arrive whole, in order and once', async () => {
    const lane = await start({ limits: { queueBytes: 32_000_000 } });
    const a = await join(lane, alice);
    const [b, c] = [await joinPlain(lane, bob), await joinPlain(lane, carol)];
    const sizes = Array.from({ length: 300 }, (_, index) => (index * 7_919) % 4_000).concat(65_536);
    const fill = (size: number, index: number): Buffer => Buffer.alloc(size, index);
    sizes.forEach((size, index) => {
      const to = index % 3 === 0 ? bob : carol;
      a.client.send(to.publicKey, fill(size, index));
    });
    for (const [index, size] of sizes.entries()) {
      const { type, payload } = await nextFrame(index % 3 === 0 ? b : c);
      expect(type).toBe(5);
      expect(payload.equals(Buffer.concat([alice.publicKey, fill(size, index)]))).toBe(true);
    }
    expect(lane.lane.statistics()).toMatchObject({
      clients: 3,
      packets: { forwarded: 301, dropped: 0 },
      forwardedBytes: sizes.reduce((sum, size) => sum + size),
    });
  });

  test('packets that were sent before the server answered are forwarded', async () => {
    const lane = await start();
    const a = await join(lane, alice);
    const b = await openPlain(lane);
    const serverKey = await readGreeting(b);
    b.stream.cork();
    sendClientInfo(b, { serverKey, secretKey: bob.exportBytes() });
    b.write(4, alice.publicKey, text('early'));
    b.stream.uncork();
    await expect.poll(() => a.packets).toEqual([{ from: nameOf(bob), text: 'early' }]);
  });

  test('bytes of datagrams are asked for by direction of a pair, and packets over its rate go nowhere', async () => {
    const asked: [string, string, number][] = [];
    const lane = await start({
      carry: (from, to, bytes) => {
        asked.push([formatX25519PublicKey(from), formatX25519PublicKey(to), bytes]);
        return bytes > 4 ? 'limit' : 'carried';
      },
    });
    const [a, b] = [await join(lane, alice), await join(lane, bob)];
    a.client.send(bob.publicKey, text('too long'));
    await expect.poll(() => lane.lane.statistics().packets.limit).toBe(1);
    a.client.send(bob.publicKey, text('4444'));
    await expect.poll(() => b.packets).toEqual([{ from: nameOf(alice), text: '4444' }]);
    b.client.send(alice.publicKey, text('1'));
    await expect.poll(() => a.packets).toEqual([{ from: nameOf(bob), text: '1' }]);
    expect(asked).toEqual([
      [nameOf(alice), nameOf(bob), 8],
      [nameOf(alice), nameOf(bob), 4],
      [nameOf(bob), nameOf(alice), 1],
    ]);
  });
});

describe('who may connect', () => {
  test('a device that is not enrolled is told so and closed', async () => {
    const admits = (key: WireGuardPublicKey) => x25519PublicKeysEqual(key, alice.publicKey);
    const lane = await start({ admits });
    await join(lane, alice);
    await expect(join(lane, bob)).rejects.toMatchObject({
      reason: 'refused',
      message: 'The relay refuses: no device with this key may connect',
    });
    const plain = await openPlain(lane);
    sendClientInfo(plain, { serverKey: await readGreeting(plain), secretKey: bob.exportBytes() });
    expect(await hasEnded(plain)).toEqual(['no device with this key may connect']);
    expect(lane.lane.statistics()).toMatchObject({ clients: 1, refused: { 'not-admitted': 2 } });
  });

  test('nobody is admitted while admission cannot be decided', async () => {
    const lane = await start({ admits: () => Promise.reject(new Error('no database')) });
    await expect(join(lane, alice)).rejects.toMatchObject({ reason: 'closed' });
    expect(lane.lane.statistics()).toMatchObject({ clients: 0, refused: { failed: 1 } });
  });

  test('admission is asked for after the key was proven only', async () => {
    const asked: WireGuardPublicKey[] = [];
    const lane = await start({ admits: (key) => asked.push(key) > 0 });
    const liar = await openPlain(lane);
    liar.write(2, alice.publicKey, new Uint8Array(24 + 16 + 20));
    await hasEnded(liar);
    expect(asked).toEqual([]);
    await join(lane, alice);
    expect(asked).toEqual([alice.publicKey]);
  });

  test('nobody can push out another device, not even with its recorded box', async () => {
    const lane = await start();
    const [a, b] = [await join(lane, alice), await join(lane, bob)];
    const [watched, recorded, named] = [
      await openPlain(lane),
      await openPlain(lane),
      await openPlain(lane),
    ];
    const [watchedKey] = [await readGreeting(watched), await readGreeting(recorded)];
    // What alice would have sent on the watched connection is played on another.
    sendClientInfo(recorded, { serverKey: watchedKey, secretKey: alice.exportBytes() });
    named.write(2, alice.publicKey, new Uint8Array(24 + 16 + 20));
    await Promise.all([hasEnded(recorded), hasEnded(named)]);
    b.client.send(alice.publicKey, text('still here'));
    await expect.poll(() => a.packets).toEqual([{ from: nameOf(bob), text: 'still here' }]);
    expect(a.problems).toEqual([]);
    const { refused, departed } = lane.lane.statistics();
    expect([refused.handshake, departed.replaced]).toEqual([2, 0]);
  });

  test('a relay in the middle cannot use the box of one of our clients', async () => {
    const real = await start();
    const socket = await connectTls(real);
    await ask(socket, PLAIN_REQUEST);
    const other = await connectTls(real);
    const { rest } = await ask(other, PLAIN_REQUEST);
    // The greeting of `other` reaches the client over `socket`, whose channel it then names in its box.
    const binding = socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
    await expect(
      openDerpClient({
        stream: other,
        head: rest,
        privateKey: alice,
        channelBinding: binding,
        clock: new ManualClock(),
        random: (size) => new Uint8Array(size),
        onPacket: () => {},
      }),
    ).rejects.toMatchObject({ reason: 'closed' });
    expect(real.lane.statistics().refused.handshake).toBe(1);
    socket.destroy();
  });
});

describe('who may talk to whom', () => {
  test('packets of other pairs go nowhere and are counted, from one packet to the next', async () => {
    let isAllowed = false;
    const lane = await start({ carry: () => (isAllowed ? 'carried' : 'refused') });
    const [a, b] = [await join(lane, alice), await join(lane, bob)];
    a.client.send(bob.publicKey, text('secret'));
    await expect.poll(() => lane.lane.statistics().packets.refused).toBe(1);
    isAllowed = true;
    a.client.send(bob.publicKey, text('allowed'));
    await expect.poll(() => b.packets).toEqual([{ from: nameOf(alice), text: 'allowed' }]);
    isAllowed = false;
    a.client.send(bob.publicKey, text('revoked'));
    await expect.poll(() => lane.lane.statistics().packets.refused).toBe(2);
    expect(b.packets).toHaveLength(1);
  });

  test('only those who may talk learn who is here', async () => {
    const lane = await start({ mayForward: (from, to) => isPair(from, to, alice, bob) });
    const [a, c] = [await join(lane, alice), await join(lane, carol)];
    c.client.send(bob.publicKey, text('is bob here?'));
    await expect.poll(() => lane.lane.statistics().packets['not-here']).toBe(1);
    a.client.send(bob.publicKey, text('bob?'));
    await expect.poll(() => a.gone).toEqual([{ peer: nameOf(bob), reason: 'not-here' }]);
    a.client.send(new Uint8Array(32) as WireGuardPublicKey, text('a key that is none'));
    await c.client.ping();
    expect(c.gone).toEqual([]);
  });
});

describe('when a device goes', () => {
  test('those it sent to are told, and nobody else', async () => {
    const lane = await start();
    const [a, b, c] = [await join(lane, alice), await join(lane, bob), await join(lane, carol)];
    a.client.send(bob.publicKey, text('hello'));
    await expect.poll(() => b.packets.length).toBe(1);
    a.client.close();
    await expect.poll(() => b.gone).toEqual([{ peer: nameOf(alice), reason: 'disconnected' }]);
    await c.client.ping();
    expect(c.gone).toEqual([]);
    expect(lane.lane.statistics()).toMatchObject({ clients: 2, departed: { left: 1 } });
  });

  test('and comes back, its new connection takes the place of the old one', async () => {
    const lane = await start();
    const [old, b] = [await join(lane, alice), await join(lane, bob)];
    old.client.send(bob.publicKey, text('hello'));
    await expect.poll(() => b.packets.length).toBe(1);
    const again = await join(lane, alice);
    expect(await old.client.closed).toMatchObject({ reason: 'closed' });
    expect(old.problems).toEqual(['the device has connected again']);
    b.client.send(alice.publicKey, text('to the new one'));
    await expect.poll(() => again.packets.length).toBe(1);
    expect(b.gone).toEqual([]);
    again.client.close();
    await expect.poll(() => b.gone).toEqual([{ peer: nameOf(alice), reason: 'disconnected' }]);
  });

  test('and its key is revoked, it is cut off at once, in both directions', async () => {
    const lane = await start();
    const [a, b] = [await join(lane, alice), await join(lane, bob)];
    a.client.send(bob.publicKey, text('hello'));
    await expect.poll(() => b.packets.length).toBe(1);
    expect(lane.lane.disconnect(alice.publicKey)).toBe(true);
    expect(lane.lane.disconnect(alice.publicKey)).toBe(false);
    a.client.send(bob.publicKey, text('too late'));
    b.client.send(alice.publicKey, text('too late'));
    expect(await a.client.closed).toMatchObject({ reason: 'closed' });
    expect(a.problems).toEqual(['the device may not use this relay any more']);
    await expect
      .poll(() => b.gone.map(({ reason }) => reason))
      .toEqual(['disconnected', 'not-here']);
    expect([a.packets, b.packets.length]).toEqual([[], 1]);
  });

  test('a revocation also reaches a connection whose admission is under way', async () => {
    const decision = Promise.withResolvers<boolean>();
    const asked = Promise.withResolvers<void>();
    const admits = (): Promise<boolean> => {
      asked.resolve();
      return decision.promise;
    };
    const lane = await start({ admits });
    const joining = join(lane, alice);
    joining.catch(() => {});
    await asked.promise;
    expect(lane.lane.disconnect(alice.publicKey)).toBe(false);
    decision.resolve(true);
    await expect(joining).rejects.toMatchObject({ reason: 'refused' });
    expect(lane.lane.statistics()).toMatchObject({ clients: 0, handshakes: 0, admitted: 0 });
  });
});

describe('a slow client', () => {
  test('loses its oldest packets and delays nobody', async () => {
    const lane = await start({ limits: { queueBytes: 200_000 } });
    const [a, slow, fast] = [
      await join(lane, alice),
      await joinPlain(lane, bob),
      await join(lane, carol),
    ];
    slow.stream.pause();
    let sent = 0;
    const flood = async (): Promise<number> => {
      for (let count = 0; count < 100; count += 1) {
        const packet = Buffer.alloc(8_000);
        packet.writeUInt32BE(sent);
        if (a.client.send(bob.publicKey, packet)) sent += 1;
      }
      await a.client.ping();
      return lane.lane.statistics().packets.dropped;
    };
    await expect.poll(flood, { timeout: 60_000, interval: 0 }).toBeGreaterThan(100);
    const startedAt = performance.now();
    a.client.send(carol.publicKey, text('to somebody else'));
    await expect.poll(() => fast.packets.length, { interval: 1 }).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    const numbers: number[] = [];
    while (numbers.at(-1) !== sent - 1) {
      const { type, payload } = await nextFrame(slow);
      if (type === 5) numbers.push(payload.readUInt32BE(32));
    }
    expect(numbers).toEqual(numbers.toSorted((left, right) => left - right));
    expect(numbers.length).toBe(
      sent - lane.lane.statistics().packets.dropped - a.client.droppedPackets,
    );
  });

  test('that reads nothing at all is given up', async () => {
    const clock = new ManualClock();
    const lane = await start({ clock, limits: { queueBytes: 200_000 } });
    const [a, slow] = [await join(lane, alice), await joinPlain(lane, bob)];
    slow.stream.pause();
    const flood = async (): Promise<number> => {
      for (let count = 0; count < 100; count += 1)
        a.client.send(bob.publicKey, new Uint8Array(8_000));
      await a.client.ping();
      return lane.lane.statistics().packets.dropped;
    };
    await expect.poll(flood, { timeout: 60_000, interval: 0 }).toBeGreaterThan(0);
    for (let count = 0; count < 3; count += 1) {
      await a.client.ping();
      await a.client.ping();
      clock.advance(30_000);
    }
    expect(lane.lane.statistics()).toMatchObject({ clients: 1, departed: { stalled: 1 } });
  });
});

describe('signs of life', () => {
  test('a client that answers pings gets pings, another keep-alives', async () => {
    const clock = new ManualClock();
    const lane = await start({ clock });
    const a = await joinPlain(lane, alice, { version: 2, CanAckPings: true });
    const b = await joinPlain(lane, bob);
    await settle(a, b);
    clock.advance(30_000);
    expect(await a.read()).toMatchObject({ type: 0x12 });
    expect(await b.read()).toEqual({ type: 0x06, payload: Buffer.alloc(0) });
  });

  test('a client that answers none is given up, and one that does is not', async () => {
    const clock = new ManualClock();
    const lane = await start({ clock });
    await settle(await joinPlain(lane, alice, { version: 2, CanAckPings: true }));
    const b = await join(lane, bob);
    for (let count = 0; count < 4; count += 1) {
      await b.client.ping();
      await b.client.ping();
      clock.advance(30_000);
    }
    expect(lane.lane.statistics()).toMatchObject({ clients: 1, departed: { silent: 1 } });
  });

  test('a client says where its home is', async () => {
    const lane = await start();
    const a = await join(lane, alice);
    a.client.notePreferred(true);
    await expect.poll(() => lane.lane.statistics().preferred).toBe(1);
    a.client.notePreferred(false);
    await expect.poll(() => lane.lane.statistics().preferred).toBe(0);
  });
});

describe('draining', () => {
  test('clients are asked to go, are served until they do, and no others come', async () => {
    const lane = await start();
    const [a, b] = [await join(lane, alice), await join(lane, bob)];
    const drained = lane.lane.drain({ spreadMs: 1_000, tryForMs: 5_000, graceMs: 60_000 });
    await expect.poll(() => a.restarts).toEqual([{ reconnectInMs: 500, tryForMs: 5_000 }]);
    const refused = new DerpConnectionError('refused', 'The server answers with HTTP status 503.');
    await expect(join(lane, carol)).rejects.toStrictEqual(refused);
    a.client.send(bob.publicKey, text('still'));
    await expect.poll(() => b.packets.length).toBe(1);
    a.client.close();
    b.client.close();
    await drained;
    expect(lane.lane.statistics()).toMatchObject({ clients: 0, refused: { draining: 1 } });
  });

  test('those who stay too long are cut', async () => {
    const clock = new ManualClock();
    const lane = await start({ clock });
    const a = await join(lane, alice);
    const half = await openPlain(lane);
    const drained = lane.lane.drain({ spreadMs: 0, tryForMs: 0, graceMs: 5_000 });
    clock.advance(5_000);
    await drained;
    expect(await a.client.closed).toMatchObject({ reason: 'closed' });
    await hasEnded(half);
    expect(lane.lane.statistics()).toMatchObject({
      departed: { drained: 1 },
      refused: { draining: 1 },
    });
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('what is not the protocol', () => {
  test.each([
    ['another path', ['GET /other HTTP/1.1', ...PLAIN_REQUEST.slice(1)]],
    [
      'another protocol',
      [...PLAIN_REQUEST.slice(0, 2), 'Upgrade: websocket', 'Connection: Upgrade'],
    ],
    ['another method', ['POST /derp HTTP/1.1', ...PLAIN_REQUEST.slice(1)]],
  ])('%s is answered with what is required', async (_name, lines) => {
    const lane = await start();
    const socket = await connectTls(lane);
    const { answer } = await ask(socket, lines);
    expect(answer.split('\r\n')[0]).toBe('HTTP/1.1 426 Upgrade Required');
    expect(answer).toContain('Upgrade: DERP');
    await once(socket.resume(), 'close');
    expect(lane.lane.statistics().refused.request).toBe(1);
  });

  test('a client that asks for a fast start waits for the answer like others', async () => {
    const lane = await start();
    const socket = await connectTls(lane);
    const { answer, rest } = await ask(socket, [...PLAIN_REQUEST, 'Derp-Fast-Start: 1']);
    expect(answer.split('\r\n').slice(0, 4)).toEqual([
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: DERP',
      'Connection: Upgrade',
      'Derp-Version: 2',
    ]);
    expect(rest.subarray(0, 13).toString('hex')).toBe('010000002844455250f09f9491');
    expect(answer).toContain(`Derp-Public-Key: ${rest.subarray(13, 45).toString('hex')}`);
    socket.destroy();
  });

  test('each connection gets a key of its own', async () => {
    const lane = await start();
    const keys = await Promise.all([1, 2].map(async () => readGreeting(await openPlain(lane))));
    expect(keys[0]).not.toEqual(keys[1]);
  });

  test('connections beyond the room that there is are turned away', async () => {
    const lane = await start({ limits: { handshakes: 1, connections: 2 } });
    const first = await openPlain(lane);
    await expect(openPlain(lane)).rejects.toThrow('503');
    await logInAsClient(first, alice.exportBytes());
    await joinPlain(lane, bob);
    await expect(openPlain(lane)).rejects.toThrow('503');
    expect(lane.lane.statistics().refused.full).toBe(2);
  });

  test('one source has a share of the handshakes', async () => {
    const lane = await start({ limits: { handshakesPerSource: 1 } });
    const first = await openPlain(lane);
    await expect(openPlain(lane)).rejects.toThrow('503');
    await logInAsClient(first, alice.exportBytes());
    await joinPlain(lane, bob);
    expect(lane.lane.statistics()).toMatchObject({ clients: 2, handshakes: 0 });
  });

  test('a client that takes too long to prove its key is closed', async () => {
    const clock = new ManualClock();
    const lane = await start({ clock });
    const peer = await openPlain(lane);
    clock.advance(10_000);
    await hasEnded(peer);
    expect(lane.lane.statistics()).toMatchObject({ handshakes: 0, refused: { timeout: 1 } });
    expect(clock.pendingTimers).toBe(0);
  });

  test.each([
    ['a packet without destination', 4, 31],
    ['a packet that is too long', 4, 32 + 65_537],
    ['a frame for servers', 0x10, 0],
    ['a second client info', 2, 100],
  ])('%s ends the connection', async (_name, type, size) => {
    const lane = await start();
    const peer = await joinPlain(lane, alice);
    peer.write(type, new Uint8Array(size));
    await hasEnded(peer);
    expect(lane.lane.statistics()).toMatchObject({ clients: 0, departed: { protocol: 1 } });
  });

  test('frames of a later version are ignored', async () => {
    const lane = await start();
    const peer = await joinPlain(lane, alice);
    peer.write(0x7f, text('new'));
    peer.write(0x12, text('12345678'));
    expect(await nextFrame(peer)).toMatchObject({ type: 0x13 });
  });
});

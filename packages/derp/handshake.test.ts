import { fuzzRuns } from '@nexodus/fuzzing';
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { WireGuardPrivateKey, X25519PrivateKey } from '@nexodus/wireguard';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClientHandshake } from './client-handshake.ts';
import { CryptoBox } from './crypto-box.ts';
import { DerpFormatError, type DerpFormatReason } from './derp-format-error.ts';
import { encodeFrame, encodeHealth, encodeKeepAlive } from './encode-frame.ts';
import { FrameReader, type Frame } from './frame-reader.ts';
import type { ClientInfo } from './info.ts';
import { ServerHandshake } from './server-handshake.ts';
import { frameType } from './wire-format.ts';

const privateKey = WireGuardPrivateKey.fromBytes(new Uint8Array(32).fill(9));
const nonce = (): Uint8Array => new Uint8Array(randomBytes(24));
const channel = new Uint8Array(32).fill(5);

function frameOf(bytes: Uint8Array): Frame {
  const reader = new FrameReader(70_000);
  reader.push(bytes);
  const frame = reader.next();
  if (frame === undefined) throw new Error('no whole frame');
  return frame;
}

function serve(channelBinding?: Uint8Array): ServerHandshake {
  return new ServerHandshake({ serverKey: X25519PrivateKey.generate('derp'), channelBinding });
}

function join(info: Partial<ClientInfo> = {}): ClientHandshake {
  const whole = { canAnswerPings: true, ...info };
  return new ClientHandshake({ privateKey, info: whole, nonce: nonce() });
}

/** What the client answers to a greeting. */
function answer(client: ClientHandshake, greeting: Uint8Array): Uint8Array {
  const effect = client.receive(frameOf(greeting));
  if (effect.kind !== 'send') throw new Error(`unexpected ${effect.kind}`);
  return effect.bytes;
}

function refusal(act: () => unknown): DerpFormatReason | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof DerpFormatError) return error.reason;
    throw error;
  }
  return undefined;
}

/** A client info frame that holds what the test wants, sealed as a client would. */
function forged(server: ServerHandshake, message: Uint8Array, key = privateKey): Uint8Array {
  const serverKey = server.greeting.slice(13);
  const sealedWith = nonce();
  const box = new CryptoBox(key, serverKey as never); // as it is in the frame
  const sealed = box.seal(message, sealedWith);
  return encodeFrame(frameType.clientInfo, key.publicKey, sealedWith, sealed);
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('a handshake', () => {
  test('proves the client’s key and tells each about the other', () => {
    const [server, client] = [serve(), join({ canAnswerPings: true })];
    const proven = server.prove(frameOf(answer(client, server.greeting)));
    expect(proven.publicKey).toEqual(privateKey.publicKey);
    expect(proven.info).toEqual({ canAnswerPings: true });
    const welcome = proven.welcome({ bytesPerSecond: 1_000, burstBytes: 2_000 }, nonce());
    expect(client.receive(frameOf(welcome))).toEqual({
      kind: 'ready',
      serverInfo: { bytesPerSecond: 1_000, burstBytes: 2_000 },
    });
  });

  test('begins with the magic and the key, 45 bytes', () => {
    const serverKey = X25519PrivateKey.generate('derp');
    const { greeting } = new ServerHandshake({ serverKey });
    const key = Buffer.from(serverKey.publicKey).toString('hex');
    expect(Buffer.from(greeting).toString('hex')).toBe(`0100000028${'44455250f09f9491'}${key}`);
  });

  test('takes a greeting that says more', () => {
    const server = serve();
    const longer = encodeFrame(frameType.serverKey, server.greeting.slice(5), Uint8Array.of(1, 2));
    expect(server.prove(frameOf(answer(join(), longer))).info.canAnswerPings).toBe(true);
  });

  test('ends with the words of a server that refuses', () => {
    const client = join();
    answer(client, serve().greeting);
    const effect = client.receive(frameOf(encodeHealth('no')));
    expect(effect).toEqual({ kind: 'refused', problem: 'no' });
    expect(refusal(() => client.receive(frameOf(encodeKeepAlive())))).toBe('order');
  });

  test('is on one channel where both name it, and needs none', () => {
    for (const [own, named] of [
      [channel, channel],
      [channel, undefined],
      [undefined, channel],
    ]) {
      const server = serve(own);
      const client = join({ channelBinding: named });
      const proven = server.prove(frameOf(answer(client, server.greeting)));
      expect(proven.publicKey).toEqual(privateKey.publicKey);
    }
  });
});

describe('a server refuses', () => {
  test('a box that was recorded on another connection', () => {
    const recorded = answer(join(), serve().greeting);
    expect(refusal(() => serve().prove(frameOf(recorded)))).toBe('box');
  });

  test('a key that the client does not hold', () => {
    const server = serve();
    const victim = WireGuardPrivateKey.generate().publicKey;
    const bytes = answer(join(), server.greeting);
    bytes.set(victim, 5);
    expect(refusal(() => server.prove(frameOf(bytes)))).toBe('box');
  });

  test('a box that a relay in the middle has passed on', () => {
    const server = serve(channel);
    const client = join({ channelBinding: new Uint8Array(32).fill(6) });
    const bytes = answer(client, server.greeting);
    expect(refusal(() => server.prove(frameOf(bytes)))).toBe('channel');
  });

  test.each([
    ['low order', new Uint8Array(32)],
    ['not canonical', new Uint8Array(32).fill(0xff)],
  ])('a key of %s', (_name, key) => {
    const server = serve();
    const bytes = answer(join(), server.greeting);
    bytes.set(key, 5);
    expect(refusal(() => server.prove(frameOf(bytes)))).toBe('key');
  });

  test.each([
    ['no JSON', '{'],
    ['no object', '2'],
    ['no version', '{}'],
    ['version 1', '{"version":1}'],
    ['a fraction of a version', '{"version":2.5}'],
    ['a word where a truth belongs', '{"version":2,"CanAckPings":"yes"}'],
  ])('info with %s', (_name, json) => {
    const server = serve();
    const frame = frameOf(forged(server, text(json)));
    expect(refusal(() => server.prove(frame))).toBe('info');
  });

  test('info that is not UTF-8', () => {
    const server = serve();
    const frame = frameOf(forged(server, Uint8Array.of(0x22, 0xff, 0x22)));
    expect(refusal(() => server.prove(frame))).toBe('info');
  });

  test('but not info of a later version with fields it does not know', () => {
    const server = serve();
    const json = '{"version":3,"CanAckPings":true,"IsProber":true,"meshKey":"x","new":{}}';
    expect(server.prove(frameOf(forged(server, text(json)))).info).toEqual({
      canAnswerPings: true,
    });
  });

  test.each([
    ['another frame', encodeKeepAlive(), 'order'],
    ['a frame without a box', encodeFrame(frameType.clientInfo, privateKey.publicKey), 'frame'],
  ] as const)('%s, and whatever comes then', (_name, bytes, reason) => {
    const server = serve();
    expect(refusal(() => server.prove(frameOf(bytes)))).toBe(reason);
    const proper = frameOf(answer(join(), server.greeting));
    expect(refusal(() => server.prove(proper))).toBe('order');
  });
});

describe('a client refuses', () => {
  test.each([
    ['another magic', (greeting: Uint8Array) => greeting.fill(0x58, 5, 6), 'magic'],
    ['a key of low order', (greeting: Uint8Array) => greeting.fill(0, 13), 'key'],
    ['another frame', () => encodeKeepAlive(), 'order'],
    ['a short greeting', (greeting: Uint8Array) => encodeFrame(1, greeting.slice(5, 44)), 'frame'],
  ] as const)('%s', (_name, change, reason) => {
    const client = join();
    expect(refusal(() => client.receive(frameOf(change(serve().greeting))))).toBe(reason);
  });

  test('a box of a server that does not hold the key it named', () => {
    const [server, other, client] = [serve(), serve(), join()];
    answer(client, server.greeting);
    const proven = other.prove(frameOf(answer(join(), other.greeting)));
    const welcome = frameOf(proven.welcome({}, nonce()));
    expect(refusal(() => client.receive(welcome))).toBe('box');
  });

  test('its own box in place of an answer', () => {
    const client = join();
    const sent = answer(client, serve().greeting);
    const mirrored = encodeFrame(frameType.serverInfo, sent.slice(5 + 32));
    expect(refusal(() => client.receive(frameOf(mirrored)))).toBe('box');
  });
});

test('any first frame is refused with the declared error', () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 3, 9), bytes, (type, payload) => {
      const frame = frameOf(encodeFrame(type, payload));
      expect(refusal(() => serve().prove(frame))).toBeDefined();
      expect(refusal(() => join().receive(frame))).toBeDefined();
    }),
    { numRuns: fuzzRuns(300) },
  );
});

test('any info in a good box is read or refused with the declared error', () => {
  const server = (): ServerHandshake => serve();
  fc.assert(
    fc.property(fc.oneof(fc.json().map(text), fc.uint8Array({ maxLength: 80 })), (message) => {
      const handshake = server();
      refusal(() => handshake.prove(frameOf(forged(handshake, message))));
    }),
    { numRuns: fuzzRuns(300) },
  );
});

test('nothing of a handshake shows a key', () => {
  const shown = inspect([serve(), join()], { depth: 9, showHidden: true });
  expect(shown).not.toContain(Buffer.from(privateKey.exportBytes()).toString('hex'));
  expect(shown).not.toMatch(/box|nonce/i);
});

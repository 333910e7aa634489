import { fuzzRuns } from '@nexodus/fuzzing';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DerpFormatError } from './derp-format-error.ts';
import {
  encodeFrame,
  encodeHealth,
  encodeKeepAlive,
  encodeNotePreferred,
  encodePeerGone,
  encodePing,
  encodeRestarting,
  turnIntoReceivePacket,
  writeSendPacket,
} from './encode-frame.ts';
import { FrameReader, type Frame } from './frame-reader.ts';
import { decodeClientMessage, decodeServerMessage } from './messages.ts';

const hex = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const key = WireGuardPrivateKey.fromBytes(new Uint8Array(32).fill(7)).publicKey;
const keyHex = Buffer.from(key).toString('hex');

function frameOf(bytes: Uint8Array): Frame {
  const reader = new FrameReader(70_000);
  reader.push(bytes);
  const frame = reader.next();
  if (frame === undefined) throw new Error('no whole frame');
  return frame;
}

/** Byte by byte from the published description: type, length in big endian, payload. */
describe('frames are, byte by byte,', () => {
  test.each([
    ['keepAlive', encodeKeepAlive(), '06 00000000'],
    ['ping', encodePing('ping', hex('0102030405060708')), '12 00000008 0102030405060708'],
    ['pong', encodePing('pong', hex('0102030405060708')), '13 00000008 0102030405060708'],
    ['notePreferred', encodeNotePreferred(true), '07 00000001 01'],
    ['notePreferred of another home', encodeNotePreferred(false), '07 00000001 00'],
    ['peerGone', encodePeerGone(key, 'disconnected'), `08 00000021 ${keyHex} 00`],
    ['peerGone of a stranger', encodePeerGone(key, 'not-here'), `08 00000021 ${keyHex} 01`],
    ['health', encodeHealth('é!'), '14 00000003 c3a921'],
    ['health without a problem', encodeHealth(''), '14 00000000'],
    [
      'restarting',
      encodeRestarting({ reconnectInMs: 1_000, tryForMs: 70_000 }),
      '15 00000008 000003e8 00011170',
    ],
  ])('%s', (_name, frame, expected) => {
    expect(Buffer.from(frame).toString('hex')).toBe(expected.replaceAll(' ', ''));
  });

  test('sendPacket, and in the same place receivePacket', () => {
    const target = new Uint8Array(44).fill(0xee);
    const end = writeSendPacket(target, 2, {
      destination: new Uint8Array(32).fill(0xdd),
      bytes: hex('a1a2a3'),
    });
    expect(end).toBe(42);
    const sent = `eeee 04 00000023 ${'dd'.repeat(32)} a1a2a3 eeee`;
    expect(Buffer.from(target).toString('hex')).toBe(sent.replaceAll(' ', ''));
    turnIntoReceivePacket(target, 2, key);
    const received = `eeee 05 00000023 ${keyHex} a1a2a3 eeee`;
    expect(Buffer.from(target).toString('hex')).toBe(received.replaceAll(' ', ''));
  });

  test('a long health text is cut between characters', () => {
    const frame = frameOf(encodeHealth('x'.repeat(1_023) + 'é'));
    expect(frame.end).toBe(5 + 1_023);
  });
});

describe('a server understands', () => {
  test.each([
    ['a packet', `04 00000020 ${keyHex}`, { kind: 'send-packet' }],
    ['a ping', '12 00000008 0102030405060708', { kind: 'ping', data: hex('0102030405060708') }],
    [
      'a longer ping',
      '12 00000009 010203040506070809',
      { kind: 'ping', data: hex('0102030405060708') },
    ],
    ['a pong', '13 00000008 0102030405060708', { kind: 'pong', data: hex('0102030405060708') }],
    ['its being home', '07 00000001 01', { kind: 'note-preferred', isPreferred: true }],
    ['its not being home', '07 00000001 00', { kind: 'note-preferred', isPreferred: false }],
    ['a keep-alive', '06 00000000', { kind: 'unknown' }],
    ['what comes in a later version', '7f 00000001 00', { kind: 'unknown' }],
    ['that a client plays a server', `0a 00000040 ${keyHex}${keyHex}`, { kind: 'forbidden' }],
    ['that a client wants to watch', '10 00000000', { kind: 'forbidden' }],
    ['that a client wants to close others', `11 00000020 ${keyHex}`, { kind: 'forbidden' }],
  ])('%s', (_name, bytes, message) => {
    expect(decodeClientMessage(frameOf(hex(bytes)))).toEqual(message);
  });

  test.each([
    ['a packet without a destination', `04 0000001f ${'00'.repeat(31)}`],
    ['a ping of 7 bytes', '12 00000007 01020304050607'],
    ['a preference without a word', '07 00000000'],
    ['a second greeting', '01 00000000'],
    ['a second client info', '02 00000000'],
  ])('not %s', (_name, bytes) => {
    expect(() => decodeClientMessage(frameOf(hex(bytes)))).toThrow(DerpFormatError);
  });
});

describe('a client understands', () => {
  test.each([
    [
      'a packet',
      `05 00000023 ${keyHex} a1a2a3`,
      { kind: 'packet', source: new Uint8Array(key), packet: hex('a1a2a3') },
    ],
    [
      'an empty packet',
      `05 00000020 ${keyHex}`,
      { kind: 'packet', source: new Uint8Array(key), packet: hex('') },
    ],
    ['a keep-alive', '06 00000000', { kind: 'keep-alive' }],
    [
      'that a peer has left',
      `08 00000021 ${keyHex} 00`,
      { kind: 'peer-gone', peer: new Uint8Array(key), reason: 'disconnected' },
    ],
    [
      'the same from an older server',
      `08 00000020 ${keyHex}`,
      { kind: 'peer-gone', peer: new Uint8Array(key), reason: 'disconnected' },
    ],
    [
      'that a peer is not here',
      `08 00000021 ${keyHex} 01`,
      { kind: 'peer-gone', peer: new Uint8Array(key), reason: 'not-here' },
    ],
    [
      'that a peer is gone for a new reason',
      `08 00000021 ${keyHex} 77`,
      { kind: 'peer-gone', peer: new Uint8Array(key), reason: 'not-here' },
    ],
    ['a problem', '14 00000004 1b5b4121', { kind: 'health', problem: ' [A!' }],
    ['its end', '14 00000000', { kind: 'health', problem: '' }],
    [
      'a restart',
      '15 00000008 000003e8 00011170',
      { kind: 'restarting', reconnectInMs: 1_000, tryForMs: 70_000 },
    ],
    ['what comes in a later version', '7f 00000001 00', { kind: 'unknown' }],
    ['what is for servers', `09 00000020 ${keyHex}`, { kind: 'unknown' }],
  ])('%s', (_name, bytes, message) => {
    expect(decodeServerMessage(frameOf(hex(bytes)))).toEqual(message);
  });

  test.each([
    ['a packet without a source', `05 0000001f ${'00'.repeat(31)}`],
    ['a peer without a key', '08 00000000'],
    ['a restart without times', '15 00000007 00000000000000'],
    ['a pong of 7 bytes', '13 00000007 01020304050607'],
    ['a second server info', '03 00000000'],
  ])('not %s', (_name, bytes) => {
    expect(() => decodeServerMessage(frameOf(hex(bytes)))).toThrow(DerpFormatError);
  });
});

function isDeclared(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch (error) {
    return error instanceof DerpFormatError;
  }
}

test('any frame is understood or refused with the declared error', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0x20 }),
      fc.uint8Array({ maxLength: 80 }),
      (type, payload) => {
        const frame = frameOf(encodeFrame(type, payload));
        expect(isDeclared(() => decodeClientMessage(frame))).toBe(true);
        expect(isDeclared(() => decodeServerMessage(frame))).toBe(true);
      },
    ),
    { numRuns: fuzzRuns(5_000) },
  );
});

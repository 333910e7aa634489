import { parseIpAddress } from '@nexodus/netip';
import { describe, expect, test } from 'vitest';
import { attributeType, isComprehensionRequired } from './attribute-type.ts';
import { decodeStunMessage } from './decode-stun-message.ts';
import { encodeStunMessage } from './encode-stun-message.ts';
import type { StunFormatReason } from './stun-format-error.ts';
import { BINDING_METHOD, type StunAttribute, type StunMessage } from './stun-message.ts';

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));

/** RFC 5769 sections 2.1 to 2.4. */
const sampleRequest = bytes(`
  00010058 2112a442 b7e7a701 bc34d686 fa87dfae
  80220010 5354554e 20746573 7420636c 69656e74
  00240004 6e0001ff
  80290008 932ff9b1 51263b36
  00060009 6576746a 3a683676 59202020
  00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
  80280004 e57a3bcf`);
const sampleIpv4Response = bytes(`
  0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
  8022000b 74657374 20766563 746f7220
  00200008 0001a147 e112a643
  00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
  80280004 c07d4c96`);
const sampleIpv6Response = bytes(`
  01010048 2112a442 b7e7a701 bc34d686 fa87dfae
  8022000b 74657374 20766563 746f7220
  00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
  00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
  80280004 c8fb0b4c`);
const sampleLongTermRequest = bytes(`
  00010060 2112a442 78ad3433 c6ad72c0 29da412e
  00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000
  0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341
  0014000b 6578616d 706c652e 6f726700
  00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666`);

const transactionId = bytes('b7e7a701 bc34d686 fa87dfae');
const message = (attributes: readonly StunAttribute[], hasFingerprint = false): StunMessage => ({
  class: 'request',
  method: BINDING_METHOD,
  transactionId,
  attributes,
  hasFingerprint,
});
const other = (type: number, value: Uint8Array): StunAttribute => ({ kind: 'other', type, value });

describe('the vectors of RFC 5769', () => {
  test('the request is read with its fingerprint, its names and the types that others define', () => {
    const decoded = decodeStunMessage(sampleRequest);
    expect(decoded).toMatchObject({ class: 'request', method: BINDING_METHOD, transactionId });
    expect(decoded.hasFingerprint).toBe(true);
    expect(decoded.attributes).toEqual([
      { kind: 'software', text: 'STUN test client' },
      other(0x0024, bytes('6e0001ff')),
      other(0x8029, bytes('932ff9b151263b36')),
      other(attributeType.username, bytes('6576746a3a68367659')),
      other(attributeType.messageIntegrity, bytes('9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2')),
    ]);
  });

  test.each([
    [sampleIpv4Response, '192.0.2.1'],
    [sampleIpv6Response, '2001:db8:1234:5678:11:2233:4455:6677'],
  ])('the responses carry the mapped address', (datagram, address) => {
    const decoded = decodeStunMessage(datagram);
    expect(decoded.class).toBe('success');
    expect(decoded.attributes.slice(0, 2)).toEqual([
      { kind: 'software', text: 'test vector' },
      { kind: 'xor-mapped-address', mapped: { address: parseIpAddress(address), port: 32_853 } },
    ]);
  });

  test('the request with long-term credentials is read without a fingerprint', () => {
    const decoded = decodeStunMessage(sampleLongTermRequest);
    expect(decoded.hasFingerprint).toBe(false);
    expect(decoded.attributes.map((one) => one.kind === 'other' && one.type)).toEqual([
      attributeType.username,
      attributeType.nonce,
      attributeType.realm,
      attributeType.messageIntegrity,
    ]);
  });

  test('what is read is written to the same bytes, where the vector pads with zeros', () => {
    expect(encodeStunMessage(decodeStunMessage(sampleLongTermRequest))).toEqual(
      sampleLongTermRequest,
    );
  });

  test('what is read stays as it is when a socket uses its buffer again', () => {
    const buffer = Buffer.from(sampleRequest);
    const decoded = decodeStunMessage(buffer);
    buffer.fill(0);
    expect(decoded).toEqual(decodeStunMessage(sampleRequest));
  });

  test('addresses are written to the bytes of the vectors', () => {
    for (const [datagram, start, end] of [
      [sampleIpv4Response, 36, 48],
      [sampleIpv6Response, 36, 60],
    ] as const) {
      const mapped = decodeStunMessage(datagram).attributes.slice(1, 2);
      expect(encodeStunMessage(message(mapped)).subarray(20)).toEqual(
        datagram.subarray(start, end),
      );
    }
  });
});

function refusalOf(datagram: Uint8Array): unknown {
  try {
    return decodeStunMessage(datagram);
  } catch (error) {
    return error;
  }
}

describe('what is not a message', () => {
  const changed = (change: (datagram: Uint8Array) => void): Uint8Array => {
    const copy = sampleRequest.slice();
    change(copy);
    return copy;
  };
  const plain = (hex: string): Uint8Array => {
    const attributes = bytes(hex);
    const header = encodeStunMessage(message([]));
    header[3] = attributes.length;
    return Uint8Array.from([...header, ...attributes]);
  };
  test.each<[string, StunFormatReason, Uint8Array]>([
    ['nothing', 'not-stun', new Uint8Array()],
    ['half a header', 'not-stun', sampleRequest.subarray(0, 19)],
    ['a first bit set', 'not-stun', changed((all) => (all[0] = 0x80))],
    ['another cookie', 'not-stun', changed((all) => (all[4] = 0x22))],
    ['a byte too many', 'length', Uint8Array.from([...sampleRequest, 0])],
    ['an attribute cut off', 'length', sampleRequest.subarray(0, -4)],
    ['a length that is no multiple of 4', 'length', changed((all) => (all[3] = 0x57))],
    ['an attribute that runs over the end', 'attribute', plain('8022 0005 61616161')],
    ['a flipped bit', 'fingerprint', changed((all) => (all[25] = 0xff))],
    ['a fingerprint of 8 bytes', 'fingerprint', plain('8028 0008 0000000000000000')],
    ['a fingerprint in the middle', 'fingerprint', plain('8028 0004 00000000 8022 0000')],
    ['an address of family 3', 'attribute', plain('0020 0008 0003a147e112a643')],
    ['an IPv4 address of 16 bytes', 'attribute', plain(`0020 0014 0001a147 ${'00'.repeat(16)}`)],
    ['an origin of 4 bytes', 'attribute', plain('802b 0004 0001a147')],
    ['another address of family 3', 'attribute', plain('802c 0008 0003a147e112a643')],
    ['a change request of 8 bytes', 'attribute', plain('0003 0008 0000000000000006')],
    ['an address without a family', 'attribute', plain('0020 0000')],
    ['an error code of 2 bytes', 'attribute', plain('0009 0002 00000000')],
    ['error code 799', 'attribute', plain('0009 0004 00000763')],
    ['error code 4 and 100', 'attribute', plain('0009 0004 00000464')],
    ['a text that is not UTF-8', 'attribute', plain('8022 0002 c0af0000')],
    ['half a type among the unknown ones', 'attribute', plain('000a 0003 00010200')],
  ])('%s is refused', (_name, reason, datagram) => {
    expect(refusalOf(datagram)).toMatchObject({ name: 'StunFormatError', reason });
  });
});

test.each<[string, StunAttribute]>([
  [
    '802b 0008 00010d96 c0000201',
    { kind: 'response-origin', origin: { address: parseIpAddress('192.0.2.1'), port: 3_478 } },
  ],
  [
    '802c 0014 00020d97 20010db8 00000000 00000000 00000002',
    { kind: 'other-address', other: { address: parseIpAddress('2001:db8::2'), port: 3_479 } },
  ],
  ['0003 0004 00000000', { kind: 'change-request', changesAddress: false, changesPort: false }],
  ['0003 0004 00000004', { kind: 'change-request', changesAddress: true, changesPort: false }],
  ['0003 0004 00000006', { kind: 'change-request', changesAddress: true, changesPort: true }],
])('attribute %s of RFC 5780 is written as its section 7 says', (hex, attribute) => {
  const written = encodeStunMessage(message([attribute]));
  expect(written.subarray(20)).toEqual(bytes(hex));
  expect(decodeStunMessage(written).attributes).toEqual([attribute]);
});

describe('attributes behind MESSAGE-INTEGRITY', () => {
  const integrity = other(attributeType.messageIntegrity, new Uint8Array(20));
  const sha256 = other(attributeType.messageIntegritySha256, new Uint8Array(32));
  const late = other(0x0024, new Uint8Array(4));
  test.each([
    [[integrity, late], [integrity]],
    [
      [integrity, late, sha256, late],
      [integrity, sha256],
    ],
    [[sha256, integrity, late], [sha256]],
  ])('do not count', (sent, counted) => {
    const decoded = decodeStunMessage(encodeStunMessage(message(sent, true)));
    expect(decoded.attributes).toEqual(counted);
  });
});

describe('a message that cannot be written is a fault of the caller', () => {
  test.each<[string, StunMessage]>([
    ['a method of 13 bits', { ...message([]), method: 0x1000 }],
    ['a transaction id of 16 bytes', { ...message([]), transactionId: new Uint8Array(16) }],
    ['a fingerprint of its own', message([other(attributeType.fingerprint, new Uint8Array(4))])],
    ['a software name of 764 bytes', message([{ kind: 'software', text: 'x'.repeat(764) }])],
    ['half a character', message([{ kind: 'software', text: '\uD800' }])],
    ['error code 700', message([{ kind: 'error-code', code: 700, reason: '' }])],
    ['a type of 17 bits', message([{ kind: 'unknown-attributes', types: [0x1_0000] }])],
    [
      'port 65,536',
      message([
        {
          kind: 'xor-mapped-address',
          mapped: { address: parseIpAddress('192.0.2.1'), port: 65_536 },
        },
      ]),
    ],
    ['more than 65,535 bytes', message([other(0x8000, new Uint8Array(65_536))])],
  ])('%s', (_name, bad) => {
    expect(() => encodeStunMessage(bad)).toThrow(RangeError);
  });
});

test('types below 0x8000 must be understood', () => {
  expect(isComprehensionRequired(0x7fff)).toBe(true);
  expect(isComprehensionRequired(0x8000)).toBe(false);
});

import { fuzzRuns } from '@nexodus/fuzzing';
import { crc32 } from 'node:zlib';
import { ipAddressFromValue } from '@nexodus/netip';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attributeType } from './attribute-type.ts';
import { decodeStunMessage } from './decode-stun-message.ts';
import { encodeStunMessage } from './encode-stun-message.ts';
import { fingerprintOf } from './fingerprint.ts';
import { StunFormatError } from './stun-format-error.ts';
import type { StunAttribute, StunMessage } from './stun-message.ts';

const uint16 = fc.integer({ min: 0, max: 0xffff });
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
/** Those with a kind of their own, and those after which attributes do not count. */
const notOther: ReadonlySet<number> = new Set([
  attributeType.xorMappedAddress,
  attributeType.responseOrigin,
  attributeType.otherAddress,
  attributeType.changeRequest,
  attributeType.software,
  attributeType.errorCode,
  attributeType.unknownAttributes,
  attributeType.fingerprint,
  attributeType.messageIntegrity,
  attributeType.messageIntegritySha256,
]);
const address = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ipAddressFromValue(4, value)),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ipAddressFromValue(6, value)),
);
const attribute: fc.Arbitrary<StunAttribute> = fc.oneof(
  fc
    .record({ address, port: uint16 })
    .map((mapped): StunAttribute => ({ kind: 'xor-mapped-address', mapped })),
  fc
    .record({ address, port: uint16 })
    .map((origin): StunAttribute => ({ kind: 'response-origin', origin })),
  fc
    .record({ address, port: uint16 })
    .map((other): StunAttribute => ({ kind: 'other-address', other })),
  fc.record({
    kind: fc.constant('change-request' as const),
    changesAddress: fc.boolean(),
    changesPort: fc.boolean(),
  }),
  text.map((value): StunAttribute => ({ kind: 'software', text: value })),
  fc.record({
    kind: fc.constant('error-code' as const),
    code: fc.integer({ min: 300, max: 699 }),
    reason: text,
  }),
  fc.array(uint16).map((types): StunAttribute => ({ kind: 'unknown-attributes', types })),
  fc.record({
    kind: fc.constant('other' as const),
    type: uint16.filter((type) => !notOther.has(type)),
    value: fc.uint8Array({ maxLength: 64 }),
  }),
);
const message: fc.Arbitrary<StunMessage> = fc.record({
  class: fc.constantFrom('request', 'indication', 'success', 'error'),
  method: fc.integer({ min: 0, max: 0xfff }),
  transactionId: fc.uint8Array({ minLength: 12, maxLength: 12 }),
  attributes: fc.array(attribute, { maxLength: 8 }),
  hasFingerprint: fc.boolean(),
});

function decodeOrRefuse(datagram: Uint8Array): StunMessage | undefined {
  try {
    return decodeStunMessage(datagram);
  } catch (error) {
    if (error instanceof StunFormatError) return undefined;
    throw error;
  }
}

test('a message that was written is read back as it was', () => {
  fc.assert(
    fc.property(message, (original) => {
      expect(decodeStunMessage(encodeStunMessage(original))).toEqual(original);
    }),
  );
});

test('any bytes are read or refused with the declared error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (datagram) => {
      decodeOrRefuse(datagram);
    }),
    { numRuns: fuzzRuns(2_000) },
  );
});

test('any attributes behind a right header are read or refused with the declared error', () => {
  fc.assert(
    fc.property(message, fc.uint8Array({ maxLength: 120 }), (original, attributes) => {
      const whole = attributes.subarray(0, attributes.length & ~3);
      const datagram = Uint8Array.from([
        ...encodeStunMessage({ ...original, attributes: [], hasFingerprint: false }),
        ...whole,
      ]);
      datagram[3] = whole.length;
      decodeOrRefuse(datagram);
    }),
    { numRuns: fuzzRuns(5_000) },
  );
});

test('one changed byte is refused by the fingerprint, or leaves a message that can be written', () => {
  fc.assert(
    fc.property(
      message.map((one) => encodeStunMessage({ ...one, hasFingerprint: true })),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (datagram, position, flip) => {
        const changed = datagram.slice();
        const index = position % changed.length;
        changed[index] = (changed[index] ?? 0) ^ flip;
        const decoded = decodeOrRefuse(changed);
        // Only a changed type of the last attribute makes FINGERPRINT an attribute like others.
        expect(decoded?.hasFingerprint).not.toBe(true);
        expect(decoded && decodeStunMessage(encodeStunMessage(decoded))).toEqual(decoded);
      },
    ),
    { numRuns: fuzzRuns(2_000) },
  );
});

test('a fingerprint is the checksum that everybody calculates', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (bytes, skipped) => {
      const start = Math.min(skipped, bytes.length);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const expected = (crc32(bytes.subarray(start)) ^ 0x5354_554e) >>> 0;
      expect(fingerprintOf(view, start, bytes.length)).toBe(expected);
    }),
  );
});

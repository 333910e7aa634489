import { fuzzRuns } from '@nexodus/fuzzing';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { encodeEnvelope, InvalidEnvelopeError, parseEnvelope } from './soft-state-envelope.ts';

const U64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const record = fc.record({
  isLive: fc.boolean(),
  epoch: U64,
  sequence: U64,
  leaseUntil: fc.maxSafeNat(),
  value: fc.uint8Array(),
});

test('what is encoded is parsed again', () => {
  const property = fc.property(record, (value) => {
    expect(parseEnvelope(encodeEnvelope(value))).toEqual(value);
  });
  fc.assert(property);
});

test('other bytes are refused with the declared error and nothing else', () => {
  const damaged = fc.tuple(record, fc.nat(25), fc.nat(255)).map(([value, offset, byte]) => {
    const bytes = encodeEnvelope(value);
    bytes[offset] = byte;
    return bytes;
  });
  const property = fc.property(fc.oneof(fc.uint8Array(), damaged), (bytes) => {
    try {
      return Buffer.from(encodeEnvelope(parseEnvelope(bytes))).equals(bytes);
    } catch (error) {
      return error instanceof InvalidEnvelopeError;
    }
  });
  fc.assert(property, { numRuns: fuzzRuns(2_000) });
});

test('the layout is fixed', () => {
  const bytes = encodeEnvelope({
    isLive: true,
    epoch: 1n,
    sequence: 2n,
    leaseUntil: 3,
    value: new Uint8Array([9]),
  });
  expect(Buffer.from(bytes).toString('hex')).toBe(
    '0101000000000000000100000000000000020000000000000003' + '09',
  );
});

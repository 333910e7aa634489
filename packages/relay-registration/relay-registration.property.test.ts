import { fuzzRuns } from '@nexodus/fuzzing';
import { inspect } from 'node:util';
import { ipAddressFromValue, parseIpAddress } from '@nexodus/netip';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DATAGRAM_MAGIC,
  encodeRegistration,
  encodeRegistrationAnswer,
  isRegistration,
  isRegistrationAnswer,
  openRegistration,
  openRegistrationAnswer,
  REGISTRATION_ANSWER_BYTES,
  REGISTRATION_BYTES,
  registrationSessionId,
  RelayRegistrationKey,
} from './index.ts';
import type { ObservedAddress, Registration, RegistrationAnswer } from './index.ts';

const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const observed: fc.Arbitrary<ObservedAddress> = fc.record({
  address: fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ipAddressFromValue(4, value)),
    fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ipAddressFromValue(6, value)),
  ),
  port: fc.integer({ min: 0, max: 0xffff }),
});
const registration: fc.Arbitrary<Registration> = fc.record({
  sessionId: uint64,
  side: fc.constantFrom(0, 1),
  timestamp: uint64,
  observed: fc.option(observed, { nil: undefined }),
});
const answer: fc.Arbitrary<RegistrationAnswer> = fc.record({ observed, isLocked: fc.boolean() });
const key = RelayRegistrationKey.fromBytes(new Uint8Array(32).fill(7));
const otherKey = RelayRegistrationKey.fromBytes(new Uint8Array(32).fill(8));
const sent: Registration = { sessionId: 1n, side: 0, timestamp: 5n, observed: undefined };

describe('a registration', () => {
  test('is read back as it was written', () => {
    fc.assert(
      fc.property(registration, (said) => {
        const bytes = encodeRegistration(said, key);
        expect(bytes).toHaveLength(REGISTRATION_BYTES);
        expect(isRegistration(bytes)).toBe(true);
        expect(registrationSessionId(bytes)).toBe(said.sessionId);
        expect(openRegistration(bytes, key)).toEqual(said);
        expect(openRegistration(bytes, otherKey)).toBeUndefined();
      }),
    );
  });

  test('has the documented layout', () => {
    const at = { address: parseIpAddress('192.0.2.1'), port: 0x1234 };
    const bytes = encodeRegistration(
      { sessionId: 0x0102_0304_0506_0708n, side: 1, timestamp: 9n, observed: at },
      key,
    );
    expect(Buffer.from(bytes.subarray(0, 40)).toString('hex')).toBe(
      `f5574d31${'10'}03${'1234'}0102030405060708${'0000000000000009'}c0000201${'00'.repeat(12)}`,
    );
    expect(new DataView(bytes.buffer).getUint32(0)).toBe(DATAGRAM_MAGIC);
  });

  test('with any bit changed is none', () => {
    const bytes = encodeRegistration(sent, key);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Uint8Array.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(openRegistration(changed, key)).toBeUndefined();
    }
  });
});

describe('an answer', () => {
  test('is read back under the key and for the registration it answers, and for no other', () => {
    fc.assert(
      fc.property(registration, answer, (asked, said) => {
        const request = encodeRegistration(asked, key);
        const bytes = encodeRegistrationAnswer(said, request, key);
        expect(bytes).toHaveLength(REGISTRATION_ANSWER_BYTES);
        expect(isRegistrationAnswer(bytes)).toBe(true);
        expect(openRegistrationAnswer(bytes, request, key)).toEqual(said);
        expect(openRegistrationAnswer(bytes, request, otherKey)).toBeUndefined();
        const later = encodeRegistration({ ...asked, timestamp: asked.timestamp ^ 1n }, key);
        expect(openRegistrationAnswer(bytes, later, key)).toBeUndefined();
      }),
    );
  });

  test('is shorter than every WireGuard message and than what it answers', () => {
    expect(REGISTRATION_ANSWER_BYTES).toBeLessThan(32);
    expect(REGISTRATION_ANSWER_BYTES).toBeLessThan(REGISTRATION_BYTES);
  });
});

test('whatever bytes arrive, they are read or refused without an error', () => {
  const request = encodeRegistration(sent, key);
  const answered = encodeRegistrationAnswer(
    { observed: { address: parseIpAddress('2001:db8::1'), port: 1 }, isLocked: true },
    request,
    key,
  );
  const mutated = fc
    .tuple(fc.constantFrom(request, answered), fc.nat(), fc.integer({ min: 1, max: 255 }))
    .map(([valid, position, byte]) => {
      const changed = Uint8Array.from(valid);
      changed[position % changed.length] = (changed[position % changed.length] ?? 0) ^ byte;
      return changed;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), mutated), (bytes) => {
      expect(openRegistration(bytes, key)).toBeUndefined();
      expect(openRegistrationAnswer(bytes, request, key)).toBeUndefined();
    }),
    { numRuns: fuzzRuns(5_000) },
  );
});

test('a field that no device writes is refused even under the key', () => {
  const sealed = (change: (bytes: Uint8Array) => void): Uint8Array => {
    const bytes = encodeRegistration(sent, key);
    change(bytes);
    bytes.set(key.authenticate(16, bytes.subarray(0, 40)), 40);
    return bytes;
  };
  expect(
    openRegistration(
      sealed(() => undefined),
      key,
    ),
  ).toEqual(sent);
  for (const change of [
    (bytes: Uint8Array) => void (bytes[5] = 0x08),
    (bytes: Uint8Array) => void (bytes[5] = 0x06),
    (bytes: Uint8Array) => void (bytes[7] = 1),
    (bytes: Uint8Array) => void (bytes[30] = 1),
  ]) {
    expect(openRegistration(sealed(change), key)).toBeUndefined();
  }
});

test('a key is 32 bytes and is not printed', () => {
  expect(() => RelayRegistrationKey.fromBytes(new Uint8Array(31))).toThrow(RangeError);
  const drawn = RelayRegistrationKey.generate();
  expect(drawn.exportBytes()).toHaveLength(32);
  for (const text of [String(key), JSON.stringify({ key }), inspect({ key }, { depth: 9 })]) {
    expect(text).toContain('[relay registration key]');
    expect(text).not.toMatch(/7, ?7|0707/);
  }
});

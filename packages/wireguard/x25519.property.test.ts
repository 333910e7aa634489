import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  InvalidKeyError,
  WireGuardPrivateKey,
  formatX25519PublicKey,
  parseWireGuardPublicKey,
  wireGuardPublicKeyFromBytes,
} from './index.ts';

const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });

function throwsOnlyInvalidKey(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch (error) {
    return error instanceof InvalidKeyError;
  }
}

test('both sides of an exchange agree, and every derived public key is accepted', () => {
  fc.assert(
    fc.property(seeds, seeds, (left, right) => {
      const a = WireGuardPrivateKey.fromBytes(left);
      const b = WireGuardPrivateKey.fromBytes(right);
      expect(a.sharedSecret(b.publicKey)).toEqual(b.sharedSecret(a.publicKey));
      expect(parseWireGuardPublicKey(formatX25519PublicKey(a.publicKey))).toEqual(a.publicKey);
    }),
    { numRuns: 50 },
  );
});

test('outside bytes and texts are accepted or refused with the declared error', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 64 }), seeds),
      (bytes) =>
        throwsOnlyInvalidKey(() => wireGuardPublicKeyFromBytes(bytes)) &&
        throwsOnlyInvalidKey(() => WireGuardPrivateKey.fromBytes(bytes)),
    ),
  );
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.base64String()),
      (text) =>
        throwsOnlyInvalidKey(() => parseWireGuardPublicKey(text)) &&
        throwsOnlyInvalidKey(() => WireGuardPrivateKey.fromBase64(text)),
    ),
  );
});

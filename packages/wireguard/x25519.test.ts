import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import {
  DiscoPrivateKey,
  InvalidKeyError,
  WireGuardPrivateKey,
  X25519PrivateKey,
  discoPublicKeyFromBytes,
  formatX25519PublicKey,
  parseDiscoPublicKey,
  parseWireGuardPublicKey,
  parseX25519PublicKey,
  wireGuardPublicKeyFromBytes,
  x25519PublicKeysEqual,
} from './index.ts';
import type { InvalidKeyReason, WireGuardPublicKey } from './index.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

function littleEndian(value: bigint): Uint8Array {
  return hex(value.toString(16).padStart(64, '0')).reverse();
}

function refusal(act: () => unknown): InvalidKeyReason | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof InvalidKeyError) return error.reason;
    throw error;
  }
  return undefined;
}

describe('Diffie-Hellman of RFC 7748 section 6.1', () => {
  const alice = WireGuardPrivateKey.fromBytes(
    hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'),
  );
  const bob = WireGuardPrivateKey.fromBytes(
    hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'),
  );

  test('derives the public keys of the standard', () => {
    expect(Buffer.from(alice.publicKey).toString('hex')).toBe(
      '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    );
    expect(Buffer.from(bob.publicKey).toString('hex')).toBe(
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    );
  });

  test('gives both sides the shared secret of the standard', () => {
    const secret = hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
    expect(alice.sharedSecret(bob.publicKey)).toEqual(secret);
    expect(bob.sharedSecret(alice.publicKey)).toEqual(secret);
  });

  test('clamps what it imports, so that exports are what WireGuard uses', () => {
    const exported = alice.exportBytes();
    expect(exported[0]).toBe(0x70);
    expect(exported[31]).toBe(0x6a);
    expect(WireGuardPrivateKey.fromBytes(exported).publicKey).toEqual(alice.publicKey);
  });
});

describe('a private key', () => {
  const key = WireGuardPrivateKey.fromBytes(new Uint8Array(32).fill(7));
  const secretTexts = [key.exportBase64(), Buffer.from(key.exportBytes()).toString('hex')];

  test.each([
    ['String', String(key)],
    ['JSON.stringify', JSON.stringify({ key })],
    ['inspect', inspect({ key }, { depth: 9, showHidden: true, getters: true })],
  ])('is not printed by %s', (_how, printed) => {
    expect(printed).toContain('[wireguard private key]');
    for (const text of secretTexts) expect(printed).not.toContain(text);
    expect(printed).not.toMatch(/7, 7, 7|07 07|KeyObject/);
  });

  test('survives a round trip through base64', () => {
    expect(WireGuardPrivateKey.fromBase64(key.exportBase64()).publicKey).toEqual(key.publicKey);
  });

  test('comes from the given randomness and from the system by default', () => {
    const made = DiscoPrivateKey.generate((size) => new Uint8Array(size).fill(7));
    expect(formatX25519PublicKey(made.publicKey)).toBe(formatX25519PublicKey(key.publicKey));
    const first = formatX25519PublicKey(WireGuardPrivateKey.generate().publicKey);
    expect(formatX25519PublicKey(WireGuardPrivateKey.generate().publicKey)).not.toBe(first);
  });

  test.each([0, 31, 33])('is refused with %i bytes', (length) => {
    expect(refusal(() => DiscoPrivateKey.fromBytes(new Uint8Array(length)))).toBe('wrong-length');
  });

  test('yields no all-zero secret even for a key that was never checked', () => {
    const unchecked = new Uint8Array(32) as WireGuardPublicKey;
    expect(refusal(() => key.sharedSecret(unchecked))).toBe('low-order');
  });
});

describe('a public key', () => {
  const prime = 2n ** 255n - 19n;
  const key = WireGuardPrivateKey.fromBytes(new Uint8Array(32).fill(9)).publicKey;

  test('has one base64 text', () => {
    const text = formatX25519PublicKey(key);
    expect(text).toHaveLength(44);
    expect(x25519PublicKeysEqual(parseWireGuardPublicKey(text), key)).toBe(true);
    expect(parseDiscoPublicKey(text)).toEqual(new Uint8Array(key));
  });

  test('is not equal to another key', () => {
    const other = WireGuardPrivateKey.fromBytes(new Uint8Array(32).fill(8)).publicKey;
    expect(x25519PublicKeysEqual(key, other)).toBe(false);
  });

  test('is a copy that its source cannot change', () => {
    const source = new Uint8Array(key);
    const parsed = wireGuardPublicKeyFromBytes(source);
    source[0] = 1;
    expect(x25519PublicKeysEqual(parsed, key)).toBe(true);
  });

  test.each([
    ['zero', 0n, 'low-order'],
    ['one', 1n, 'low-order'],
    [
      'a point of order 8',
      325606250916557431795983626356110631294008115727848805560023387167927233504n,
      'low-order',
    ],
    [
      'the other point of order 8',
      39382357235489614581723060781553021112529911719440698176882885853963445705823n,
      'low-order',
    ],
    ['p - 1', prime - 1n, 'low-order'],
    ['p', prime, 'non-canonical'],
    ['p + 1', prime + 1n, 'non-canonical'],
    ['p + 9', prime + 9n, 'non-canonical'],
    ['the base point with the top bit set', 9n + 2n ** 255n, 'non-canonical'],
    ['all ones', 2n ** 256n - 1n, 'non-canonical'],
  ] as const)('is refused when it is %s', (_name, coordinate, reason) => {
    expect(refusal(() => wireGuardPublicKeyFromBytes(littleEndian(coordinate)))).toBe(reason);
    expect(refusal(() => discoPublicKeyFromBytes(littleEndian(coordinate)))).toBe(reason);
  });

  test.each([
    ['unpadded', 'q'.repeat(43)],
    ['with spare bits set', `${'A'.repeat(42)}B=`],
    ['in the alphabet for addresses', `${'-'.repeat(43)}=`],
    ['with white space', ` ${formatX25519PublicKey(key)}`],
  ])('is refused as text when %s', (_name, text) => {
    expect(refusal(() => parseWireGuardPublicKey(text))).toBe('not-base64');
  });

  test('is refused as text of another length', () => {
    expect(refusal(() => parseWireGuardPublicKey(''))).toBe('wrong-length');
    expect(refusal(() => parseWireGuardPublicKey('AAAA'))).toBe('wrong-length');
  });

  test('keeps the enrolment purpose apart in types only', () => {
    const server = X25519PrivateKey.generate('enrolment');
    expect(parseX25519PublicKey(server.publicKey, 'enrolment')).toEqual(server.publicKey);
  });
});

import { DiscoPrivateKey, WireGuardPrivateKey, parseX25519PublicKey } from '@nexodus/wireguard';
import fc from 'fast-check';
import nacl from 'tweetnacl';
import { describe, expect, test } from 'vitest';
import { CryptoBox } from './crypto-box.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

describe('the example of "Cryptography in NaCl", sections 5 to 10', () => {
  const alice = WireGuardPrivateKey.fromBytes(
    hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'),
  );
  const bobsKey = parseX25519PublicKey(
    hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'),
    'derp',
  );
  const nonce = hex('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37');
  const message = hex(
    'be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc' +
      'e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31' +
      '0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde' +
      '048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864' +
      '5e0705',
  );
  const sealed = hex(
    'f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce' +
      '48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972' +
      '71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae' +
      '90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3' +
      '7973f622a43d14a6599b1f654cb45a74e355a5',
  );

  test('is sealed and opened as there', () => {
    const box = new CryptoBox(alice, bobsKey);
    expect(box.seal(message, nonce)).toEqual(sealed);
    expect(box.open(sealed, nonce)).toEqual(message);
  });
});

const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
const nonces = fc.uint8Array({ minLength: 24, maxLength: 24 });

test('another implementation opens what is sealed, and the other way round', () => {
  fc.assert(
    fc.property(seeds, seeds, nonces, fc.uint8Array({ maxLength: 300 }), (a, b, nonce, message) => {
      const [ours, theirs] = [WireGuardPrivateKey.fromBytes(a), DiscoPrivateKey.fromBytes(b)];
      const box = new CryptoBox(ours, theirs.publicKey);
      const sealed = box.seal(message, nonce);
      expect(sealed).toEqual(nacl.box(message, nonce, theirs.publicKey, ours.exportBytes()));
      expect(new CryptoBox(theirs, ours.publicKey).open(sealed, nonce)).toEqual(message);
    }),
    { numRuns: 50 },
  );
});

test('a changed bit, another nonce, another key and what is too short do not open', () => {
  fc.assert(
    fc.property(seeds, nonces, fc.nat(), (seed, nonce, position) => {
      const key = WireGuardPrivateKey.fromBytes(seed);
      const peer = WireGuardPrivateKey.fromBytes(new Uint8Array(32).fill(1));
      const box = new CryptoBox(key, peer.publicKey);
      const sealed = box.seal(Uint8Array.of(1, 2, 3), nonce);
      const changed = sealed.slice();
      const index = position % changed.length;
      changed[index] = (changed[index] ?? 0) ^ (1 << (position % 8));
      expect(box.open(changed, nonce)).toBeUndefined();
      const otherNonce = nonce.slice();
      otherNonce[0] = (otherNonce[0] ?? 0) ^ 1;
      expect(box.open(sealed, otherNonce)).toBeUndefined();
      const stranger = new CryptoBox(key, key.publicKey);
      expect(stranger.open(sealed, nonce)).toBeUndefined();
      expect(box.open(sealed.subarray(0, 15), nonce)).toBeUndefined();
      expect(box.open(sealed, nonce.subarray(1))).toBeUndefined();
    }),
    { numRuns: 50 },
  );
});

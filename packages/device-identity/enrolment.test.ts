import { DiscoPrivateKey, WireGuardPrivateKey, X25519PrivateKey } from '@nexodus/wireguard';
import type { WireGuardPublicKey } from '@nexodus/wireguard';
import { describe, expect, test } from 'vitest';
import {
  Ed25519PrivateKey,
  EnrolmentCookieError,
  createEnrolmentExchange,
  deriveServiceKeys,
  openCookie,
  proveEnrolment,
  sealCookie,
  verifyEnrolment,
} from './index.ts';
import type { EnrolmentCheck, EnrolmentCredential, EnrolmentProof } from './index.ts';

const fill = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const audience = 'https://nexodus.example:7443';
const deviceKey = Ed25519PrivateKey.fromSeed(fill(1), 'device');
const wireGuardKey = WireGuardPrivateKey.fromBytes(fill(2));
const discoKey = DiscoPrivateKey.fromBytes(fill(3));
const serverKey = X25519PrivateKey.fromBytes(fill(4), 'enrolment');
const nonce = fill(5);
const registrationKey: EnrolmentCredential = { kind: 'registration-key', hash: fill(6) };
const user: EnrolmentCredential = { kind: 'user', userId: 'user-1' };

function prove(credential: EnrolmentCredential): EnrolmentProof {
  return proveEnrolment({
    audience,
    nonce,
    serverKey: serverKey.publicKey,
    credential,
    deviceKey,
    wireGuardKey,
    discoKey,
  });
}

function check(changes: Partial<EnrolmentCheck> = {}): EnrolmentCheck {
  return {
    audience,
    nonce,
    serverKey,
    credential: registrationKey,
    deviceKey: deviceKey.publicKey,
    wireGuardKey: wireGuardKey.publicKey,
    discoKey: discoKey.publicKey,
    proof: prove(registrationKey),
    ...changes,
  };
}

/** Computed by another implementation (Python, pyca/cryptography) from docs/protocol/enrolment.md. */
const VECTORS = [
  {
    credential: registrationKey,
    transcript: 'ce483e56e64dfafe51ed9c64d092dda4dbddffd645521031a48e73cde8d855ba',
    signature:
      '47b66b501fc8ff7497027e88b6805df70ba6b53a4f003bf4ef08084f249187c9' +
      '14e075192fe3ea81997fb82eb7d4166ac653c8e6f209d9c4f3de1d9ff785bc09',
    wireGuardProof: 'a94002e18d87659b16ed28845ad309b7881dd1be4192a13d78015322209c4381',
    discoProof: '27ecc8b0595074c765d5ba46e18f7cc652aa7aa9b929236e2e8b328e7efc5756',
  },
  {
    credential: user,
    transcript: '82e530961fbb719848de524f224d1e3b53c11c2a918a4c6960af3088165eb5fd',
    signature:
      'c847f73fe7dcd5d4716c9df0c51552c40e1eaa62b96cb081d650d29cbd7fb7a7' +
      'b8898fb251925772d8c811444eb8bba77ab642d1c17831cdc0b1d82c1d84560d',
    wireGuardProof: '5196a33afb0946dede603a3dd78c3dfde7e01083354150d2d94312af4a7e1e55',
    discoProof: 'f1bf85750e0354c045113d5ed27ce731be9b60d9c26f60e1d31c391231d4339d',
  },
] as const;

describe('enrolment proofs', () => {
  test.each(VECTORS)('equal the vector by $credential.kind', (vector) => {
    const proof = prove(vector.credential);
    expect(hex(proof.signature)).toBe(vector.signature);
    expect(hex(proof.wireGuardProof)).toBe(vector.wireGuardProof);
    expect(hex(proof.discoProof)).toBe(vector.discoProof);
    const verdict = verifyEnrolment(check({ credential: vector.credential, proof }));
    expect(verdict.ok && hex(verdict.transcript)).toBe(vector.transcript);
  });

  const otherWireGuard = WireGuardPrivateKey.fromBytes(fill(7)).publicKey;
  const otherDisco = DiscoPrivateKey.fromBytes(fill(7)).publicKey;
  const otherDevice = Ed25519PrivateKey.fromSeed(fill(7), 'device');
  const good = prove(registrationKey);

  test.each([
    ['for another audience', { audience: 'https://other.example:7443' }, 'bad-device-signature'],
    ['with another nonce', { nonce: fill(7) }, 'bad-device-signature'],
    [
      'with another server key',
      { serverKey: X25519PrivateKey.fromBytes(fill(7), 'enrolment') },
      'bad-device-signature',
    ],
    ['with another credential', { credential: user }, 'bad-device-signature'],
    ['of another device key', { deviceKey: otherDevice.publicKey }, 'bad-device-signature'],
    ['for a WireGuard key put in', { wireGuardKey: otherWireGuard }, 'bad-device-signature'],
    ['for a disco key put in', { discoKey: otherDisco }, 'bad-device-signature'],
    ['with a cut signature', { proof: { ...good, signature: fill(0, 63) } }, 'malformed-proof'],
    ['with an empty proof', { proof: { ...good, discoProof: fill(0, 0) } }, 'malformed-proof'],
    [
      'with the disco proof in place of the WireGuard one',
      { proof: { ...good, wireGuardProof: good.discoProof } },
      'bad-wireguard-proof',
    ],
    [
      'with the WireGuard proof in place of the disco one',
      { proof: { ...good, discoProof: good.wireGuardProof } },
      'bad-disco-proof',
    ],
  ] as const)('do not hold %s', (_name, changes, reason) => {
    expect(verifyEnrolment(check(changes))).toEqual({ ok: false, reason });
  });

  test('do not hold for somebody else’s WireGuard key, even signed by the device', () => {
    const victim = WireGuardPrivateKey.fromBytes(fill(8));
    const forged = proveEnrolment({
      audience,
      nonce,
      serverKey: serverKey.publicKey,
      credential: registrationKey,
      deviceKey,
      wireGuardKey: victim,
      discoKey,
    });
    const proof = { ...forged, wireGuardProof: good.wireGuardProof };
    expect(verifyEnrolment(check({ wireGuardKey: victim.publicKey, proof }))).toEqual({
      ok: false,
      reason: 'bad-wireguard-proof',
    });
  });

  test('are refused for one key in two roles', () => {
    const twin = DiscoPrivateKey.fromBytes(fill(2)).publicKey;
    expect(verifyEnrolment(check({ discoKey: twin }))).toEqual({
      ok: false,
      reason: 'keys-not-distinct',
    });
  });

  test('are refused for a key of low order that escaped its parser', () => {
    const lowOrder = fill(0) as WireGuardPublicKey;
    const pretended = { publicKey: lowOrder, purpose: 'wireguard', sharedSecret: () => fill(0) };
    const proof = proveEnrolment({
      audience,
      nonce,
      serverKey: serverKey.publicKey,
      credential: registrationKey,
      deviceKey,
      wireGuardKey: pretended as unknown as WireGuardPrivateKey,
      discoKey,
    });
    expect(verifyEnrolment(check({ wireGuardKey: lowOrder, proof }))).toEqual({
      ok: false,
      reason: 'low-order-key',
    });
  });
});

describe('an enrolment cookie', () => {
  const { cookieKey } = deriveServiceKeys(fill(8));
  const now = new Date(1_790_000_000_000);
  const sealed = sealCookie({ nonce, serverKey }, cookieKey, now, (size) => fill(9, size));

  function refusal(bytes: Uint8Array, at: Date, key = cookieKey): string {
    try {
      openCookie(bytes, key, at);
    } catch (error) {
      if (error instanceof EnrolmentCookieError) return error.reason;
      throw error;
    }
    return 'accepted';
  }

  test('equals the vector of another implementation', () => {
    expect(hex(sealed)).toBe(
      `01${'09'.repeat(32)}` +
        'e82f6cff5154c220b9d8e079545c3320670930a8238fb14c8af271e477bae252d174761864cef6ebfdbacb84' +
        'c27ff1066c685b41c51e7fb3fe4ea0d9d10d52eeab5671892eef027db3e860cec52bde99c6bfbfa873a7a7cf',
    );
  });

  test('returns the exchange and its end', () => {
    const opened = openCookie(sealed, cookieKey, new Date(now.getTime() + 59_999));
    expect(opened.nonce).toEqual(nonce);
    expect(opened.serverKey.publicKey).toEqual(serverKey.publicKey);
    expect(opened.expiresAt).toEqual(new Date(now.getTime() + 60_000));
  });

  test('is refused after 60 s, by another service, and altered in any byte', () => {
    expect(refusal(sealed, new Date(now.getTime() + 60_000))).toBe('expired');
    expect(refusal(sealed, now, deriveServiceKeys(fill(9)).cookieKey)).toBe('invalid');
    for (let index = 0; index < sealed.length; index += 1) {
      const altered = sealed.map((byte, at) => (at === index ? byte ^ 1 : byte));
      expect(refusal(altered, now)).toBe('invalid');
    }
  });

  test('carries a fresh nonce and key each time', () => {
    const [first, second] = [createEnrolmentExchange(), createEnrolmentExchange()];
    expect(first.nonce).not.toEqual(second.nonce);
    expect(first.serverKey.publicKey).not.toEqual(second.serverKey.publicKey);
    expect(() => sealCookie({ nonce: fill(1, 31), serverKey }, cookieKey, now)).toThrow(RangeError);
  });
});

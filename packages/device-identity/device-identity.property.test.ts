import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  Ed25519PrivateKey,
  EnrolmentCookieError,
  InvalidSigningKeyError,
  RegistrationKeyError,
  SealedStateError,
  TokenError,
  createProofOfPossession,
  deriveServiceKeys,
  ed25519Thumbprint,
  openCookie,
  openState,
  parseDevicePublicKey,
  parseRegistrationKey,
  readAssertionSubject,
  sealState,
  verifyAccessToken,
  verifyClientAssertion,
  verifyProofOfPossession,
} from './index.ts';
import { encodeSignedFields } from './signed-fields.ts';

const now = new Date(1_790_000_000_000);
const audience = 'https://nexodus.example:7443';
const key = Ed25519PrivateKey.fromSeed(new Uint8Array(32).fill(1), 'device');
const { cookieKey, tokenSigningKey } = deriveServiceKeys(new Uint8Array(32).fill(2));

type ErrorClass = abstract new (...args: never[]) => Error;

/** The error that the call ended in, unless it is the declared one. */
function undeclaredError(declared: ErrorClass, act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    if (!(error instanceof declared)) return error;
  }
  return undefined;
}

test('outside bytes are refused with the declared error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const boxed = Uint8Array.of(1, ...bytes);
      expect(
        undeclaredError(InvalidSigningKeyError, () => parseDevicePublicKey(bytes)),
      ).toBeUndefined();
      for (const box of [bytes, boxed]) {
        expect(() => openCookie(box, cookieKey, now)).toThrow(EnrolmentCookieError);
        expect(() => openState(box, key)).toThrow(SealedStateError);
      }
    }),
  );
});

const json = fc.json().map((text) => Buffer.from(text).toString('base64url'));
const header = fc
  .record(
    {
      alg: fc.constantFrom('EdDSA', 'none', 'HS256', 'Ed25519', ''),
      typ: fc.oneof(fc.constantFrom('dpop+jwt', 'at+jwt'), fc.jsonValue()),
      jwk: fc.oneof(
        fc.jsonValue(),
        fc.record({
          kty: fc.constant('OKP'),
          crv: fc.constant('Ed25519'),
          x: fc
            .uint8Array({ minLength: 32, maxLength: 32 })
            .map((bytes) => Buffer.from(bytes).toString('base64url')),
        }),
      ),
      crit: fc.jsonValue(),
      b64: fc.boolean(),
    },
    { requiredKeys: [] },
  )
  .map((value) => Buffer.from(JSON.stringify(value)).toString('base64url'));
const signature = fc
  .uint8Array({ maxLength: 64 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'));
const hostileToken = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.tuple(fc.oneof(header, json), json, signature).map((parts) => parts.join('.')),
);

test('outside tokens are refused with the declared error', async () => {
  const publicKey = key.publicKey;
  await fc.assert(
    fc.asyncProperty(hostileToken, async (token) => {
      const demands = { accessToken: 'x', thumbprint: 'y', audience, method: '/m', now };
      await expect(verifyProofOfPossession(token, demands)).rejects.toThrow(TokenError);
      await expect(verifyClientAssertion(token, { audience, publicKey, now })).rejects.toThrow(
        TokenError,
      );
      await expect(
        verifyAccessToken(token, { audience, publicKey: tokenSigningKey.publicKey, now }),
      ).rejects.toThrow(TokenError);
      expect(undeclaredError(TokenError, () => readAssertionSubject(token))).toBeUndefined();
    }),
    { numRuns: 300 },
  );
});

test('a proof with any character changed is refused', async () => {
  const call = { accessToken: 'token', audience, method: '/m', now };
  const proof = await createProofOfPossession({ ...call, key });
  const demands = { ...call, thumbprint: ed25519Thumbprint(key.publicKey) };
  await expect(verifyProofOfPossession(proof, demands)).resolves.toBeDefined();
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: proof.length - 1 }),
      fc.constantFrom('A', 'z', '_', '.', '=', ' '),
      async (index, character) => {
        fc.pre(proof[index] !== character);
        const altered = proof.slice(0, index) + character + proof.slice(index + 1);
        await expect(verifyProofOfPossession(altered, demands)).rejects.toThrow(TokenError);
      },
    ),
    { numRuns: 300 },
  );
});

test('outside registration keys are refused with the declared error', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^nxr_[a-z2-7]{8}_[a-z2-7]{40}$/),
  );
  fc.assert(
    fc.property(text, (input) => {
      expect(
        undeclaredError(RegistrationKeyError, () => parseRegistrationKey(input)),
      ).toBeUndefined();
    }),
  );
});

test('sealed state opens with its device key, to what was sealed, and with no other key', () => {
  const other = Ed25519PrivateKey.fromSeed(new Uint8Array(32).fill(9), 'device');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(), (state, position) => {
      const sealed = sealState(state, key);
      expect(openState(sealed, key)).toEqual(state);
      expect(() => openState(sealed, other)).toThrow(SealedStateError);
      const at = position % sealed.length;
      const altered = sealed.map((byte, index) => (index === at ? byte ^ 0x10 : byte));
      expect(() => openState(altered, key)).toThrow(SealedStateError);
      expect(() => openState(sealed.subarray(0, at), key)).toThrow(SealedStateError);
    }),
  );
});

test('sealed state equals the vector of another implementation', () => {
  const sealed = sealState(Buffer.from('state'), key, (size) => new Uint8Array(size).fill(9));
  expect(Buffer.from(sealed).toString('hex')).toBe(
    `01${'09'.repeat(32)}1aaffe2a84d4d2ded8e0ff0b31815c07e6b8d30ddc`,
  );
});

test('two different lists of fields never encode alike', () => {
  const field = fc.oneof(fc.uint8Array({ maxLength: 5 }), fc.string({ maxLength: 3 }));
  const canonical = (fields: readonly (Uint8Array | string)[]): string =>
    fields.map((one) => Buffer.from(one).toString('hex')).join(' ');
  fc.assert(
    fc.property(fc.array(field), fc.array(field), (left, right) => {
      const same = Buffer.compare(encodeSignedFields(left), encodeSignedFields(right)) === 0;
      const alike = canonical(left) === canonical(right) && left.length === right.length;
      expect(same).toBe(alike);
    }),
  );
  expect(() => encodeSignedFields(['x'.repeat(65_536)])).toThrow(RangeError);
  expect(() => encodeSignedFields(['\ud800'])).toThrow(RangeError);
  expect(() => encodeSignedFields([2n ** 64n])).toThrow(RangeError);
});

import { createHash } from 'node:crypto';
import { CompactSign } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  Ed25519PrivateKey,
  TokenError,
  createAccessToken,
  createClientAssertion,
  createProofOfPossession,
  ed25519Thumbprint,
  readAssertionSubject,
  verifyAccessToken,
  verifyClientAssertion,
  verifyProofOfPossession,
} from './index.ts';

const audience = 'https://nexodus.example:7443';
const method = '/nexodus.agent.v1.AgentService/Connect';
const now = new Date(1_790_000_000_500);
const nowSeconds = 1_790_000_000;
const key = Ed25519PrivateKey.fromSeed(new Uint8Array(32).fill(1), 'device');
const other = Ed25519PrivateKey.fromSeed(new Uint8Array(32).fill(2), 'device');
const tokenKey = Ed25519PrivateKey.fromSeed(new Uint8Array(32).fill(3), 'token');
const thumbprint = ed25519Thumbprint(key.publicKey);
const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key.publicKey).toString('base64url') };
const jti = 'A'.repeat(22);
const later = (seconds: number): Date => new Date(now.getTime() + seconds * 1000);
const base64url = (value: unknown): string =>
  Buffer.from(JSON.stringify(value)).toString('base64url');

type Json = Record<string, unknown>;

function forge(header: Json, claims: Json, signer = key): Promise<string> {
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'EdDSA', ...header })
    .sign(signer.keyObject());
}

/** "HS256" with the public key's bytes as secret: the classic confusion of algorithms. */
function forgeHs256(header: Json, claims: Json): Promise<string> {
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'HS256', ...header })
    .sign(key.publicKey);
}

async function refusal(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return 'accepted';
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    return error.claim === undefined ? error.reason : `${error.reason} ${error.claim}`;
  }
}

describe('a client assertion', () => {
  const header = { typ: 'client-authentication+jwt' };
  const claims = {
    iss: 'device-1',
    sub: 'device-1',
    aud: audience,
    jti,
    iat: nowSeconds,
    exp: nowSeconds + 60,
  };
  const verify = (assertion: string, at = now): ReturnType<typeof verifyClientAssertion> =>
    verifyClientAssertion(assertion, { audience, publicKey: key.publicKey, now: at });

  test('is accepted from its maker', async () => {
    const assertion = await createClientAssertion({ subject: 'device-1', audience, key, now });
    expect(readAssertionSubject(assertion)).toBe('device-1');
    const verified = await verify(assertion);
    expect(verified.subject).toBe('device-1');
    expect(verified.tokenId).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(verified.forgetAt).toEqual(new Date((nowSeconds + 61) * 1000));
    expect(await refusal(verify(assertion, verified.forgetAt))).toBe('clock-skew');
  });

  test.each([
    ['its claims as made', {}, {}, 'accepted'],
    ['another type', { typ: 'at+jwt' }, {}, 'wrong-claim typ'],
    ['another issuer', {}, { iss: 'device-2' }, 'wrong-claim iss'],
    ['another audience', {}, { aud: 'https://other.example' }, 'wrong-claim aud'],
    ['several audiences', {}, { aud: [audience, 'https://other.example'] }, 'malformed'],
    ['no id', {}, { jti: undefined }, 'malformed'],
    ['a huge id', {}, { jti: 'A'.repeat(65) }, 'malformed'],
    ['a life of 61 s', {}, { exp: nowSeconds + 61 }, 'wrong-claim exp'],
    ['a life of nothing', {}, { exp: nowSeconds }, 'wrong-claim exp'],
    ['a fraction as time', {}, { iat: nowSeconds + 0.5 }, 'malformed'],
    ['a text as time', {}, { iat: String(nowSeconds) }, 'malformed'],
    ['a past date', {}, { iat: nowSeconds - 61, exp: nowSeconds - 1 }, 'clock-skew'],
    ['a future date', {}, { iat: nowSeconds + 61, exp: nowSeconds + 121 }, 'clock-skew'],
    ['an early end', {}, { iat: nowSeconds - 30, exp: nowSeconds - 1 }, 'expired'],
    ['the oldest date', {}, { iat: nowSeconds - 60, exp: nowSeconds }, 'accepted'],
    ['the latest date', {}, { iat: nowSeconds + 60, exp: nowSeconds + 120 }, 'accepted'],
  ])('with %s has the outcome of the table', async (_name, headers, changes, outcome) => {
    const assertion = await forge({ ...header, ...headers }, { ...claims, ...changes });
    expect(await refusal(verify(assertion))).toBe(outcome);
  });

  test('says by how much the clock is off, and which way', async () => {
    const assertion = await createClientAssertion({
      subject: 'device-1',
      audience,
      key,
      now: later(-300),
    });
    await expect(verify(assertion)).rejects.toMatchObject({
      reason: 'clock-skew',
      skewSeconds: -300,
    });
    await expect(verify(assertion)).rejects.toThrow('300 s behind');
  });

  test('is refused without signature, with another key, and with a confused algorithm', async () => {
    const [, payload] = (await forge(header, claims)).split('.');
    const unsigned = `${base64url({ alg: 'none', ...header })}.${payload}.`;
    expect(await refusal(verify(unsigned))).toBe('wrong-algorithm');
    expect(await refusal(verify(await forgeHs256(header, claims)))).toBe('wrong-algorithm');
    expect(await refusal(verify(await forge(header, claims, other)))).toBe('bad-signature');
  });

  test.each([
    ['another algorithm', { alg: 'ES256' }, 'wrong-algorithm'],
    ['the newer name of the algorithm', { alg: 'Ed25519' }, 'wrong-algorithm'],
    ['a critical header', { crit: ['x'], x: 1 }, 'malformed'],
    ['an unencoded payload', { crit: ['b64'], b64: false }, 'bad-signature'],
  ])('whose header is changed to %s is refused', async (_name, headers, outcome) => {
    const [, payload, signature] = (await forge(header, claims)).split('.');
    const changed = base64url({ alg: 'EdDSA', ...header, ...headers });
    expect(await refusal(verify(`${changed}.${payload}.${signature}`))).toBe(outcome);
  });

  test('has one text only', async () => {
    const assertion = await forge(header, claims);
    const spareBitSet = String.fromCharCode(assertion.charCodeAt(assertion.length - 1) + 1);
    for (const alias of [`${assertion}=`, `${assertion} `, assertion.slice(0, -1) + spareBitSet]) {
      expect(await refusal(verify(alias))).toBe('malformed');
    }
  });

  test('without a readable subject is malformed', () => {
    for (const text of ['', 'a.b.c', `e30.${base64url({ sub: 7 })}.`, `e30.${base64url([])}.`]) {
      expect(() => readAssertionSubject(text)).toThrow(TokenError);
    }
  });
});

describe('an access token', () => {
  const options = { subject: 'device-1', kind: 'device', thumbprint, audience, now } as const;
  const verify = (token: string, at = now): ReturnType<typeof verifyAccessToken> =>
    verifyAccessToken(token, { audience, publicKey: tokenKey.publicKey, now: at });

  test('says whom it is for and which key it is bound to', async () => {
    const verified = await verify(await createAccessToken(options, tokenKey));
    expect(verified).toMatchObject({ subject: 'device-1', kind: 'device', thumbprint });
    expect(verified.expiresAt).toEqual(new Date((nowSeconds + 3600) * 1000));
  });

  test('ends when it says so, without tolerance', async () => {
    const token = await createAccessToken({ ...options, lifetimeSeconds: 10 }, tokenKey);
    expect(await refusal(verify(token, later(9)))).toBe('accepted');
    expect(await refusal(verify(token, later(10)))).toBe('expired');
  });

  test('is not made for more than an hour, or for nothing', async () => {
    for (const lifetimeSeconds of [0, -1, 3601, Number.NaN]) {
      const attempt = createAccessToken({ ...options, lifetimeSeconds }, tokenKey);
      await expect(attempt).rejects.toThrow(RangeError);
    }
  });

  const claims = {
    iss: audience,
    aud: audience,
    sub: 'device-1',
    kind: 'device',
    cnf: { jkt: thumbprint },
    jti,
    iat: nowSeconds,
    exp: nowSeconds + 3600,
  };

  test.each([
    ['as made', {}, {}, 'accepted'],
    ['of another type', { typ: 'dpop+jwt' }, {}, 'wrong-claim typ'],
    ['without type', { typ: undefined }, {}, 'wrong-claim typ'],
    ['of another issuer', {}, { iss: 'https://other.example' }, 'wrong-claim iss'],
    ['for another audience', {}, { aud: 'https://other.example' }, 'wrong-claim aud'],
    ['of an unknown kind', {}, { kind: 'admin' }, 'malformed'],
    ['not bound to a key', {}, { cnf: undefined }, 'malformed'],
    ['bound to nothing', {}, { cnf: { jkt: '' } }, 'malformed'],
    ['of two hours', {}, { exp: nowSeconds + 7200 }, 'wrong-claim exp'],
    ['expired', {}, { iat: nowSeconds - 3600, exp: nowSeconds }, 'expired'],
    ['from the future', {}, { iat: nowSeconds + 61 }, 'clock-skew'],
  ])('%s has the outcome of the table', async (_name, headers, changes, outcome) => {
    const payload = Buffer.from(JSON.stringify({ ...claims, ...changes }));
    const token = await new CompactSign(payload)
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', ...headers })
      .sign(tokenKey.keyObject());
    expect(await refusal(verify(token))).toBe(outcome);
  });

  test('signed by a device is refused', async () => {
    expect(await refusal(verify(await forge({ typ: 'at+jwt' }, claims)))).toBe('bad-signature');
  });
});

describe('a proof of possession', () => {
  let accessToken = '';
  let claims: Json = {};
  const header = { typ: 'dpop+jwt', jwk };

  beforeAll(async () => {
    accessToken = await createAccessToken(
      { subject: 'device-1', kind: 'device', thumbprint, audience, now },
      tokenKey,
    );
    claims = {
      htm: 'POST',
      htu: audience + method,
      ath: createHash('sha256').update(accessToken).digest('base64url'),
      jti,
      iat: nowSeconds,
    };
  });

  const verify = (proof: string, at = now): ReturnType<typeof verifyProofOfPossession> =>
    verifyProofOfPossession(proof, { accessToken, thumbprint, audience, method, now: at });

  test('is accepted for its call, and tells how long to remember it', async () => {
    const proof = await createProofOfPossession({ key, accessToken, audience, method, now });
    const verified = await verify(proof);
    expect(verified.thumbprint).toBe(thumbprint);
    expect(await refusal(verify(proof, new Date(verified.forgetAt.getTime() - 1)))).toBe(
      'accepted',
    );
    expect(await refusal(verify(proof, verified.forgetAt))).toBe('clock-skew');
  });

  test('differs from call to call', async () => {
    const make = (): Promise<string> =>
      createProofOfPossession({ key, accessToken, audience, method, now });
    expect(await make()).not.toBe(await make());
  });

  test.each([
    ['as made', {}, {}, 'accepted'],
    ['of another type', { typ: 'jwt' }, {}, 'wrong-claim typ'],
    ['without a key', { jwk: undefined }, {}, 'malformed'],
    ['with a private key in it', { jwk: { ...jwk, d: jwk.x } }, {}, 'malformed'],
    ['with a key of another curve', { jwk: { ...jwk, crv: 'X25519' } }, {}, 'malformed'],
    ['with a symmetric key', { jwk: { kty: 'oct', k: jwk.x } }, {}, 'malformed'],
    ['with a key of small order', { jwk: { ...jwk, x: 'A'.repeat(43) } }, {}, 'malformed'],
    ['for another HTTP method', {}, { htm: 'GET' }, 'wrong-claim htm'],
    [
      'for another RPC',
      {},
      { htu: `${audience}/nexodus.api.v1.VpcService/ListVpcs` },
      'wrong-claim htu',
    ],
    ['for another service', {}, { htu: `https://other.example:7443${method}` }, 'wrong-claim htu'],
    ['with a query', {}, { htu: `${audience}${method}?a=1` }, 'wrong-claim htu'],
    ['for another token', {}, { ath: 'A'.repeat(43) }, 'wrong-claim ath'],
    ['without token', {}, { ath: undefined }, 'malformed'],
    ['too old', {}, { iat: nowSeconds - 61 }, 'clock-skew'],
    ['from the future', {}, { iat: nowSeconds + 61 }, 'clock-skew'],
    ['of the oldest date', {}, { iat: nowSeconds - 60 }, 'accepted'],
    ['of the latest date', {}, { iat: nowSeconds + 60 }, 'accepted'],
    ['with a short id', {}, { jti: 'x' }, 'malformed'],
  ])('%s has the outcome of the table', async (_name, headers, changes, outcome) => {
    const proof = await forge({ ...header, ...headers }, { ...claims, ...changes });
    expect(await refusal(verify(proof))).toBe(outcome);
  });

  test('by another key is refused, whichever key its header shows', async () => {
    const otherJwk = { ...jwk, x: Buffer.from(other.publicKey).toString('base64url') };
    const owned = await forge({ typ: 'dpop+jwt', jwk: otherJwk }, claims, other);
    expect(await refusal(verify(owned))).toBe('wrong-key');
    expect(await refusal(verify(await forge(header, claims, other)))).toBe('bad-signature');
  });

  test('is refused without signature and with a confused algorithm', async () => {
    const unsigned = `${base64url({ alg: 'none', ...header })}.${base64url(claims)}.`;
    expect(await refusal(verify(unsigned))).toBe('wrong-algorithm');
    expect(await refusal(verify(await forgeHs256(header, claims)))).toBe('wrong-algorithm');
  });

  test('is refused when over-long, before anything is parsed', async () => {
    expect(await refusal(verify('a'.repeat(5000)))).toBe('malformed');
    expect(await refusal(verify(`${await forge(header, claims)}${'A'.repeat(5000)}`))).toBe(
      'malformed',
    );
  });

  test('names no token in its errors', async () => {
    const proof = await forge(header, { ...claims, htu: 'x' });
    await expect(verify(proof)).rejects.not.toThrow(proof.slice(0, 20));
  });
});

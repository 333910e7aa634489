/**
 * ID tokens at the control plane, with real OpenID Connect providers: which open nothing, and what happens while a provider
 * is out of reach.
 */
import { createCertificateAuthority } from '@nexodus/certificates';
import { TokenServiceDefinition, UserServiceDefinition } from '@nexodus/contracts/api';
import { createClientAssertion } from '@nexodus/device-identity';
import { createRpcClient, Status } from '@nexodus/rpc';
import {
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
} from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { anonymousCaller, userCaller } from '../control-plane/callers.ts';
import {
  type ControlPlane,
  startControlPlane,
  testAudience,
} from '../control-plane/control-plane.ts';
import { refusal } from '../control-plane/refusal.ts';
import {
  nowSeconds,
  otherClient,
  startTestIssuer,
  type TestIssuer,
  trustedClient,
} from './test-issuer.ts';

const ada = { subject: 'ada-1', email: 'ada@example.com' };
const bob = { subject: 'bob-2', email: 'bob@example.com' };

const stack = new AsyncDisposableStack();
let issuer: TestIssuer;
/** Trusted too, and not asked before a test that is about that. */
let idleIssuer: TestIssuer;
let plane: ControlPlane;
beforeAll(async () => {
  const ca = await createCertificateAuthority({ commonName: 'Test CA', now: new Date(), years: 1 });
  issuer = stack.use(await startTestIssuer({ ca, accounts: [ada, bob] }));
  idleIssuer = stack.use(await startTestIssuer({ ca, accounts: [ada] }));
  plane = await startControlPlane({ issuers: [issuer.trusted, idleIssuer.trusted] });
  stack.defer(() => plane.stop());
});
afterAll(() => stack.disposeAsync());

async function idOf(idToken: string): Promise<string> {
  const { client, close } = userCaller(plane, idToken);
  try {
    const { principal } = await client(UserServiceDefinition).whoAmI({});
    return principal?.$case === 'user' ? principal.value.id : '';
  } finally {
    close();
  }
}

async function refusedWith(idToken: string): Promise<[Status, string | undefined]> {
  const error = await refusal(idOf(idToken));
  return [error.code, error.details.reason];
}

/** Subjects of users that only a token that should have been refused can have made. */
async function strangers(): Promise<string[]> {
  const rows: { subject: string }[] = await plane.database
    .knex('users')
    .whereNotIn('subject', ['ada-1', 'demo'])
    .select('subject');
  return rows.map(({ subject }) => subject);
}

describe('a token opens nothing', () => {
  const good: JWTPayload = { sub: ada.subject };
  const usual = (): JWTPayload => ({
    ...good,
    iss: issuer.trusted.url,
    aud: trustedClient,
    iat: nowSeconds(),
    exp: nowSeconds() + 3_600,
  });

  test('unless it is as the issuer makes it, which this one is', async () => {
    expect(await idOf(await issuer.sign(good))).not.toBe('');
  });

  /** Each with the reason that is named. */
  const hostile: [string, () => Promise<string>, string][] = [
    [
      'without a signature',
      () => Promise.resolve(new UnsecuredJWT(usual()).encode()),
      'TOKEN_INVALID',
    ],
    ['with the public key as a shared secret', () => signedWithPublicKey(usual()), 'TOKEN_INVALID'],
    [
      "with a key of the attacker's under the issuer's key id",
      () => forged(usual()),
      'TOKEN_INVALID',
    ],
    ['with a signature cut off', async () => cut(await issuer.sign(good)), 'TOKEN_INVALID'],
    [
      'with claims of somebody else under a good signature',
      async () => spliced(await issuer.sign(good), { ...usual(), sub: bob.subject }),
      'TOKEN_INVALID',
    ],
    [
      'of an issuer that is not trusted',
      () => issuer.sign({ ...good, iss: 'https://evil.example' }),
      'ISSUER_UNKNOWN',
    ],
    ['without an issuer', () => issuer.sign({ ...good, iss: undefined }), 'ISSUER_UNKNOWN'],
    [
      'of one trusted issuer in the name of another',
      () => idleIssuer.sign({ ...good, iss: issuer.trusted.url }),
      'TOKEN_INVALID',
    ],
    ['for another audience', () => issuer.sign({ ...good, aud: otherClient }), 'TOKEN_INVALID'],
    ['that a login at another client gave', () => issuer.logIn(ada, otherClient), 'TOKEN_INVALID'],
    ['for nobody', () => issuer.sign({ ...good, aud: undefined }), 'TOKEN_INVALID'],
    [
      'for another client that lists this one',
      () => issuer.sign({ ...good, azp: otherClient }),
      'TOKEN_INVALID',
    ],
    [
      'for several audiences without a word which client it is',
      () => issuer.sign({ ...good, aud: [trustedClient, otherClient] }),
      'TOKEN_INVALID',
    ],
    [
      'that has expired',
      () => issuer.sign({ ...good, iat: nowSeconds() - 3_600, exp: nowSeconds() - 90 }),
      'TOKEN_EXPIRED',
    ],
    ['without an end', () => issuer.sign({ ...good, exp: undefined }), 'TOKEN_INVALID'],
    ['without a beginning', () => issuer.sign({ ...good, iat: undefined }), 'TOKEN_INVALID'],
    ['from the future', () => issuer.sign({ ...good, nbf: nowSeconds() + 300 }), 'CLOCK_SKEW'],
    ['without a subject', () => issuer.sign({}), 'TOKEN_INVALID'],
    ['with an empty subject', () => issuer.sign({ sub: '' }), 'TOKEN_INVALID'],
    ['that is none', () => Promise.resolve('a.b.c'), 'TOKEN_MALFORMED'],
  ];
  test.for(hostile)('%s', async ([, make, reason]) => {
    const [code, named] = await refusedWith(await make());
    expect([code, named]).toEqual([Status.UNAUTHENTICATED, reason]);
    expect(await strangers()).toEqual([]);
  });

  test('under the scheme of another kind of token', async () => {
    const { channel, client, close } = anonymousCaller(plane);
    stack.defer(close);
    const under = (authorization: string): Promise<unknown> =>
      createRpcClient(UserServiceDefinition, channel, {
        authorize: () => Promise.resolve({ authorization, dpop: 'a.b.c' }),
      }).whoAmI({});
    const assertion = await createClientAssertion({
      subject: plane.accountId,
      audience: testAudience,
      key: plane.accountKey,
      now: new Date(),
    });
    const { accessToken } = await client(TokenServiceDefinition).exchangeAssertion({ assertion });
    const codes: Status[] = [];
    for (const text of [
      `DPoP ${await issuer.sign(good)}`,
      `Bearer ${accessToken}`,
      'Bearer',
      'Basic eDp5',
    ])
      codes.push((await refusal(under(text))).code);
    expect(codes).toEqual(codes.map(() => Status.UNAUTHENTICATED));
  });

  async function signedWithPublicKey(claims: JWTPayload): Promise<string> {
    const key = await importJWK({ ...issuer.publicKey }, 'ES256', { extractable: true });
    if (key instanceof Uint8Array) throw new Error('the issuer has a shared secret');
    const secret = new TextEncoder().encode(await exportSPKI(key));
    return new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'signing' }).sign(secret);
  }

  async function forged(claims: JWTPayload): Promise<string> {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const jwk = await exportJWK(publicKey);
    const header = { alg: 'ES256', kid: 'signing', jwk };
    return new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
  }

  function cut(token: string): string {
    return token.slice(0, token.lastIndexOf('.') + 1);
  }

  function spliced(token: string, claims: JWTPayload): string {
    const [header, , signature] = token.split('.');
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return `${header}.${payload}.${signature}`;
  }
});

describe('while the provider is out of reach', () => {
  afterEach(async () => {
    vi.useRealTimers();
    await Promise.all([issuer.comeBack(), idleIssuer.comeBack()]);
  });

  test('known keys go on opening, a provider never asked before is UNAVAILABLE, and works once it is back', async () => {
    const known = await issuer.sign({ sub: ada.subject });
    const fresh = await idleIssuer.sign({ sub: ada.subject });
    const id = await idOf(known);
    await Promise.all([issuer.goDown(), idleIssuer.goDown()]);
    expect(await idOf(known)).toBe(id);
    expect(await idOf(await issuer.sign({ sub: ada.subject, aud: trustedClient }))).toBe(id);
    const error = await refusal(idOf(fresh));
    expect(error.code).toBe(Status.UNAVAILABLE);
    expect(error.message).toContain(idleIssuer.trusted.url);
    await idleIssuer.comeBack();
    expect(await idOf(fresh)).not.toBe(id);
  });

  test('a key that is not known is UNAVAILABLE, not refused: it may be a new one of the provider', async () => {
    await idOf(await issuer.sign({ sub: ada.subject }));
    await issuer.goDown();
    // Unknown keys are looked for at most every 30 s: what anybody makes up must not become load for the provider.
    vi.setSystemTime(Date.now() + 31_000);
    const { privateKey } = await generateKeyPair('ES256');
    const token = await new SignJWT({ sub: ada.subject })
      .setProtectedHeader({ alg: 'ES256', kid: 'next' })
      .setIssuer(issuer.trusted.url)
      .setAudience(trustedClient)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
    const error = await refusal(idOf(token));
    expect(error.code).toBe(Status.UNAVAILABLE);
    await issuer.comeBack();
    expect(await refusedWith(token)).toEqual([Status.UNAUTHENTICATED, 'TOKEN_INVALID']);
  });
});

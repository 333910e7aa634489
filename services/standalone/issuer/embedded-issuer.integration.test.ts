import { randomBytes } from 'node:crypto';
import { createHttpsFront } from '@nexodus/apiserver';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  issueServerCertificate,
} from '@nexodus/certificates';
import { systemClock } from '@nexodus/clock';
import { bootstrapSchema, type Database, openDatabase } from '@nexodus/database';
import { startTestPostgres, type TestPostgres } from '@nexodus/embedded-postgres/testing';
import { startParts } from '@nexodus/lifecycle';
import { silentLogger } from '@nexodus/telemetry';
import { createRemoteJWKSet, customFetch as joseFetch, jwtVerify } from 'jose';
import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  type Configuration,
  customFetch,
  discovery,
  initiateDeviceAuthorization,
  None,
  pollDeviceAuthorizationGrant,
  randomPKCECodeVerifier,
  randomState,
  refreshTokenGrant,
} from 'openid-client';
import { Agent, fetch as undiciFetch } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { completeDeviceLogin, openTestBrowser, type TestBrowser } from '../testing.ts';
import { createEmbeddedIssuer, type EmbeddedIssuer } from './embedded-issuer.ts';
import { freePort } from '../listen-address.ts';
import { cliClientId, consoleClientId } from './issuer-configuration.ts';
import { rotateSigningKeys } from './signing-keys.ts';

const email = 'ada@example.com';
const password = 'a long enough password';
const scope = 'openid email profile offline_access';
const rootSecret = randomBytes(32);
const { keys: signingKeys } = rotateSigningKeys(undefined, new Date());

let postgres: TestPostgres;
let ca: CertificateAuthority;
let tls: { certificate: string; key: string };
beforeAll(async () => {
  postgres = await startTestPostgres();
  ca = await createCertificateAuthority({ commonName: 'Test CA', now: new Date(), years: 1 });
  const issued = await issueServerCertificate({
    ca,
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    now: new Date(),
    days: 1,
  });
  tls = { certificate: issued.certificatePem, key: issued.key.exportPem() };
});
afterAll(() => postgres.stop());

const stops: (() => unknown)[] = [];
let databaseUrl: string;
let database: Database;
let port: number;
let issuer: EmbeddedIssuer;
let stopIssuer: () => Promise<void>;
let browser: TestBrowser;
beforeEach(async () => {
  databaseUrl = await postgres.createDatabase();
  await bootstrapSchema({ admin: databaseUrl, schema: 'oidc', role: 'oidc' });
  port = await freePort('127.0.0.1');
  await startIssuer();
  await issuer.accounts.create({ email, displayName: 'Ada' }, password);
  browser = openTestBrowser({ ca: ca.certificatePem });
  stops.push(() => browser.close());
});
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

function origin(): string {
  return `https://127.0.0.1:${port}`;
}

async function startIssuer(): Promise<void> {
  database = openDatabase({
    connection: databaseUrl,
    schema: 'oidc',
    role: 'oidc',
    applicationName: 'test',
    clock: systemClock,
    random: Math.random,
  });
  issuer = createEmbeddedIssuer({
    url: `${origin()}/oidc`,
    database,
    clock: systemClock,
    logger: silentLogger,
    rootSecret,
    signingKeys,
  });
  const front = createHttpsFront({
    listen: { host: '127.0.0.1', port },
    tls,
    publicUrl: origin(),
    routes: [issuer],
  });
  const running = await startParts([...issuer.parts, front.part]);
  stopIssuer = async () => {
    await running.stop();
    await database.close();
  };
  stops.push(() => stopIssuer());
}

function trustingFetch(): typeof fetch {
  const dispatcher = new Agent({ connect: { ca: ca.certificatePem } });
  stops.push(() => dispatcher.close());
  const trusting: unknown = (url: string, init: Parameters<typeof undiciFetch>[1]) =>
    undiciFetch(url, { ...init, dispatcher });
  // undici's fetch is the one that Node ships; only their type declarations differ.
  return trusting as typeof fetch;
}

async function discover(clientId: string): Promise<Configuration> {
  const options = { [customFetch]: trustingFetch() };
  return discovery(new URL(`${origin()}/oidc`), clientId, undefined, None(), options);
}

async function deviceLogin(config: Configuration) {
  const device = await initiateDeviceAuthorization(config, { scope });
  await completeDeviceLogin(browser, {
    verificationUriComplete: device.verification_uri_complete ?? '',
    email,
    password,
  });
  return pollDeviceAuthorizationGrant(config, { ...device, interval: 0.01 });
}

test('a terminal logs in by the device flow, and its ID token verifies and names the person', async () => {
  const config = await discover(cliClientId);
  const tokens = await deviceLogin(config);
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri ?? ''), {
    [joseFetch]: trustingFetch(),
  });
  const { payload, protectedHeader } = await jwtVerify(tokens.id_token ?? '', keys, {
    issuer: `${origin()}/oidc`,
    audience: cliClientId,
    algorithms: ['ES256'],
  });
  const account = await issuer.accounts.findByEmail(email);
  expect(payload).toMatchObject({
    sub: account?.subject,
    email,
    email_verified: true,
    name: 'Ada',
  });
  expect(protectedHeader.kid).toBe(signingKeys.keys[0]?.jwk.kid);
  expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3_600);
});

test('a restart keeps refresh tokens, each of which works once', async () => {
  const first = await deviceLogin(await discover(cliClientId));
  await stopIssuer();
  await startIssuer();
  const config = await discover(cliClientId);
  const second = await refreshTokenGrant(config, first.refresh_token ?? '');
  expect(second.claims()).toMatchObject({ email, email_verified: true });
  expect(second.refresh_token).not.toBe(first.refresh_token);
  await expect(refreshTokenGrant(config, first.refresh_token ?? '')).rejects.toMatchObject({
    error: 'invalid_grant',
  });
  // A token that comes back means that somebody else has it: the whole login ends.
  await expect(refreshTokenGrant(config, second.refresh_token ?? '')).rejects.toMatchObject({
    error: 'invalid_grant',
  });
});

test('the database holds neither tokens nor codes nor passwords in clear', async () => {
  const config = await discover(cliClientId);
  const device = await initiateDeviceAuthorization(config, { scope });
  const tokens = await deviceLogin(config);
  const dump = JSON.stringify([
    await database
      .knex('records')
      .select(
        database.knex.raw(
          "model, encode(id_hash, 'escape') AS id, encode(payload, 'escape') AS payload",
        ),
      ),
    await database.knex('accounts').select(),
  ]);
  const secrets = [
    device.device_code,
    device.user_code,
    tokens.access_token,
    tokens.refresh_token,
    password,
  ];
  for (const secret of secrets) expect(dump).not.toContain(String(secret));
  expect(dump).toContain('DeviceCode');
});

test('the console logs in by code and PKCE, and not without PKCE', async () => {
  const config = await discover(consoleClientId);
  const verifier = randomPKCECodeVerifier();
  const state = randomState();
  const parameters = {
    redirect_uri: `${origin()}/auth/callback`,
    scope: 'openid email',
    state,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  };
  let page = await browser.open(buildAuthorizationUrl(config, parameters).href);
  expect(page.heading).toBe('Log in');
  page = await browser.submit(page, { email, password });
  expect(page.heading).toBe('Allow access?');
  page = await browser.submit(page, {});
  expect(page.url.startsWith(`${origin()}/auth/callback?code=`)).toBe(true);
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  const tokens = await authorizationCodeGrant(config, new URL(page.url), checks);
  expect(tokens.claims()).toMatchObject({ email });

  const { code_challenge: _, code_challenge_method: __, ...without } = parameters;
  const refused = await browser.open(buildAuthorizationUrl(config, without).href);
  expect(new URL(refused.url).searchParams.get('error')).toBe('invalid_request');
});

test('a client cannot have the code sent elsewhere', async () => {
  const config = await discover(consoleClientId);
  const page = await browser.open(
    buildAuthorizationUrl(config, {
      redirect_uri: 'https://attacker.example/',
      scope: 'openid',
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
    }).href,
  );
  expect(page.status).toBe(400);
  expect(page.heading).toBe('That did not work');
});

async function loginPage() {
  const device = await initiateDeviceAuthorization(await discover(cliClientId), { scope });
  const asked = await browser.open(device.verification_uri_complete ?? '');
  expect(asked.text).toContain(`value="${device.user_code}"`);
  const confirm = await browser.submit(asked, { user_code: device.user_code });
  expect(confirm.text).toContain(device.user_code);
  return browser.submit(confirm, { confirm: 'yes' });
}

test('a wrong password is refused without telling whether the account exists, and guessing is slowed down', async () => {
  const page = await loginPage();
  const wrong = await browser.submit(page, { email, password: 'wrong' });
  const unknown = await browser.submit(page, { email: 'nobody@example.com', password });
  const words = 'E-mail address and password do not fit together.';
  expect([wrong.status, wrong.text.includes(words)]).toEqual([401, true]);
  expect([unknown.status, unknown.text.includes(words)]).toEqual([401, true]);
  const statuses: number[] = [];
  for (let attempt = 0; attempt < 10; attempt += 1) {
    statuses.push((await browser.submit(page, { email, password: 'wrong' })).status);
  }
  expect(statuses).toEqual([...Array.from({ length: 8 }, () => 401), 429, 429]);
  const right = await browser.submit(page, { email, password });
  expect(right.status).toBe(429);
  expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
});

test('pages load nothing, run no script, and cannot be framed; cookies are for HTTPS and this path', async () => {
  const page = await loginPage();
  const policy = page.headers.get('content-security-policy');
  expect(policy).toMatch(
    /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; frame-ancestors 'none'/,
  );
  expect(page.text).not.toMatch(/<script|https?:\/\/(?!127\.0\.0\.1)/);
  const { headers } = await trustingFetch()(`${origin()}/oidc/device`, {
    headers: { accept: 'text/html' },
  });
  const cookies = headers.getSetCookie();
  expect(cookies.length).toBeGreaterThan(0);
  for (const cookie of cookies) {
    expect(cookie).toMatch(/; path=\/oidc/i);
    expect(cookie).toMatch(/; secure/i);
    expect(cookie).toMatch(/; httponly/i);
    expect(cookie).toMatch(/; samesite=lax/i);
  }
});

test('a form that another site sends, or that carries no token, is refused', async () => {
  const page = await loginPage();
  const action = new URL(/action="([^"]+)"/.exec(page.text)?.[1] ?? '', page.url).href;
  const noToken = await browser.submit(
    { ...page, text: page.text.replace('form_token', 'other') },
    { email, password },
  );
  expect(noToken.status).toBe(400);
  // Without the cookie of the browser that began it, a login does not go on.
  const form = new URLSearchParams({ email, password });
  const stranger = await trustingFetch()(action, {
    method: 'POST',
    body: form,
    redirect: 'manual',
  });
  expect(stranger.status).toBe(400);
});

test('a person can cancel, and the terminal hears of it', async () => {
  const config = await discover(cliClientId);
  const device = await initiateDeviceAuthorization(config, { scope });
  const asked = await browser.open(device.verification_uri);
  const confirm = await browser.submit(asked, { user_code: device.user_code });
  await browser.submit(confirm, { abort: 'yes' });
  await expect(
    pollDeviceAuthorizationGrant(config, { ...device, interval: 0.01 }),
  ).rejects.toMatchObject({ error: 'access_denied' });
  const unknown = await browser.submit(await browser.open(device.verification_uri), {
    user_code: 'BCDF-GHJK',
  });
  expect(unknown.text).toContain('There is no such code.');
});

test('it answers to its own host name only', async () => {
  const other = `https://localhost:${port}/oidc/.well-known/openid-configuration`;
  const get = await trustingFetch()(other, { redirect: 'manual' });
  expect([get.status, get.headers.get('location')]).toEqual([
    307,
    `${origin()}/oidc/.well-known/openid-configuration`,
  ]);
  const post = await trustingFetch()(`https://localhost:${port}/oidc/token`, {
    method: 'POST',
    body: 'a=b',
  });
  expect(post.status).toBe(421);
});

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CertificateAuthority, issueServerCertificate } from '@nexodus/certificates';
import { openTestBrowser } from '@nexodus/standalone/testing';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import Provider, { type ClientMetadata, type Configuration } from 'oidc-provider';
import * as oidc from 'openid-client';
import { Agent, fetch as undiciFetch } from 'undici';

/** A person at the issuer. */
export interface TestAccount {
  readonly subject: string;
  readonly email: string;
}

/** A real OpenID Connect provider at which people log in by their name alone. */
export interface TestIssuer extends AsyncDisposable {
  /** As the operator of a service configures it. */
  readonly trusted: { url: string; clientId: string; caFile: string };
  /** Public part of its signing key. */
  readonly publicKey: JWK;
  /** Logs in by the device flow and returns the ID token. */
  logIn(account: TestAccount, clientId?: string): Promise<string>;
  /** A token with the issuer's own signature, and claims as it makes them but for those given; undefined leaves one out. */
  sign(claims: JWTPayload): Promise<string>;
  /** Goes out of reach. */
  goDown(): Promise<void>;
  /** Comes back at the same address, unless it is there. */
  comeBack(): Promise<void>;
}

/** How the issuer differs from the usual. */
export interface TestIssuerOptions {
  readonly ca: CertificateAuthority;
  readonly accounts: readonly TestAccount[];
  /** Life of a code, in seconds. Default: 600. */
  readonly deviceCodeSeconds?: number;
}

/** The client that the service accepts tokens of. */
export const trustedClient = 'nexodus-cli';

/** A client of the same issuer that the service has nothing to do with. */
export const otherClient = 'other-app';

const algorithm = 'ES256';

/** Starts an issuer on a free port. */
export async function startTestIssuer(options: TestIssuerOptions): Promise<TestIssuer> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-issuer-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, options.ca.certificatePem);
  const server = await createTlsServer(options.ca);
  const listen = async (port: number): Promise<number> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  };
  const goDown = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  const port = await listen(0);
  stack.defer(goDown);
  const url = `https://127.0.0.1:${port}`;
  const keys = await generateKeyPair(algorithm, { extractable: true });
  const jwk = { ...(await exportJWK(keys.privateKey)), kid: 'signing', alg: algorithm, use: 'sig' };
  const answer = new Provider(url, configuration(options, jwk)).callback();
  server.on('request', (request, response) => void answer(request, response));
  const dispatcher = new Agent({ connect: { ca: options.ca.certificatePem } });
  stack.defer(() => dispatcher.close());
  const fetchIt = trustingFetch(dispatcher);
  const owned = stack.move();
  return {
    trusted: { url, clientId: trustedClient, caFile },
    publicKey: { ...(await exportJWK(keys.publicKey)), kid: 'signing', alg: algorithm },
    logIn: async (account, clientId = trustedClient) => {
      const config = await oidc.discovery(new URL(url), clientId, undefined, oidc.None(), {
        [oidc.customFetch]: fetchIt,
      });
      return deviceLogin(config, account, options.ca);
    },
    sign: (claims) => {
      const usual = { iss: url, aud: trustedClient, iat: nowSeconds(), exp: nowSeconds() + 3_600 };
      const signer = new SignJWT({ ...usual, ...claims });
      return signer.setProtectedHeader({ alg: algorithm, kid: 'signing' }).sign(keys.privateKey);
    },
    goDown,
    comeBack: async () => {
      if (!server.listening) await listen(port);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Seconds since 1970, as tokens count. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

async function createTlsServer(ca: CertificateAuthority) {
  const { certificatePem, key } = await issueServerCertificate({
    ca,
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    now: new Date(),
    days: 1,
  });
  return createServer({ cert: certificatePem, key: key.exportPem() });
}

/** Pages of nothing but the provider's own form. */
const deviceFlow: NonNullable<Configuration['features']>['deviceFlow'] = {
  enabled: true,
  userCodeInputSource: (ctx, form) => void (ctx.body = form),
  userCodeConfirmSource: (ctx, form) => void (ctx.body = form),
  successSource: (ctx) => void (ctx.body = 'done'),
};

function configuration(
  { accounts, deviceCodeSeconds = 600 }: TestIssuerOptions,
  jwk: JWK,
): Configuration {
  const client = (id: string): ClientMetadata => ({
    client_id: id,
    token_endpoint_auth_method: 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    response_types: [],
    redirect_uris: [],
    id_token_signed_response_alg: algorithm,
  });
  return {
    jwks: { keys: [jwk] },
    clients: [client(trustedClient), client(otherClient)],
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['only for tests'] },
    ttl: {
      AccessToken: 3_600,
      DeviceCode: deviceCodeSeconds,
      Grant: 3_600,
      IdToken: 3_600,
      Interaction: 600,
      Session: 3_600,
    },
    features: { deviceFlow, devInteractions: { enabled: true } },
    findAccount: (_ctx, subject) => {
      const account = accounts.find((candidate) => candidate.subject === subject);
      if (account === undefined) return undefined;
      const claims = { sub: subject, email: account.email, email_verified: true };
      return { accountId: subject, claims: () => Promise.resolve(claims) };
    },
  };
}

/** The forms are the provider's own: code, confirmation, login by name, consent. */
async function deviceLogin(
  config: oidc.Configuration,
  account: TestAccount,
  ca: CertificateAuthority,
): Promise<string> {
  const device = await oidc.initiateDeviceAuthorization(config, { scope: 'openid email' });
  const browser = openTestBrowser({ ca: ca.certificatePem });
  try {
    const asked = await browser.open(device.verification_uri);
    const confirm = await browser.submit(asked, { user_code: device.user_code });
    const login = await browser.submit(confirm, {});
    const consent = await browser.submit(login, { login: account.subject, password: 'any' });
    await browser.submit(consent, {});
  } finally {
    await browser.close();
  }
  const tokens = await oidc.pollDeviceAuthorizationGrant(config, { ...device, interval: 0.01 });
  if (tokens.id_token === undefined) throw new Error('the issuer gave no ID token');
  return tokens.id_token;
}

function trustingFetch(dispatcher: Agent): oidc.CustomFetch {
  const fetchIt: unknown = (url: string, init: Parameters<typeof undiciFetch>[1]) =>
    undiciFetch(url, { ...init, dispatcher });
  // undici's fetch is the one that Node ships; only their type declarations differ.
  return fetchIt as oidc.CustomFetch;
}

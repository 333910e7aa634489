/**
 * Login of a person at a terminal by the device authorization grant (RFC 8628): the terminal shows an address and a
 * code, the person confirms in any browser, the terminal polls until then.
 */
import { rootCertificates } from 'node:tls';
import type { Issuer } from '@nexodus/contracts/api';
import * as oidc from 'openid-client';
import { Agent, buildConnector, fetch as undiciFetch } from 'undici';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { explainConnectFailure } from './explain-connect-failure.ts';
import { ProxyError, openTunnel } from './open-tunnel.ts';
import { type ProxySettings, proxyTo } from './proxy-settings.ts';
import { parseServiceUrl } from './service-url.ts';

/** Tokens of a person. Each opens what the person may do: never log, never store but where only the owner reads. */
export interface UserTokens {
  /** Bearer token for the service's API. */
  readonly idToken: string;
  /** Absent where the issuer gives none: then a new login is needed at the end. */
  readonly refreshToken?: string;
  /** End of the id token, milliseconds since 1970. */
  readonly expireAtMs: number;
}

/** An issuer, and the CA to believe besides the system's. */
export interface LoginTarget {
  readonly issuer: Pick<Issuer, 'url' | 'clientId' | 'scopes'>;
  /** PEM; undefined: the system's only. */
  readonly caPem: string | undefined;
  /** What of it goes through a proxy. */
  readonly proxies: ProxySettings;
}

/** What the person must do. */
export interface LoginPrompt {
  readonly verificationUrl: string;
  readonly userCode: string;
  /** The address with the code in it, where the issuer has one. */
  readonly completeUrl?: string;
}

/**
 * Logs in. `show` is called once, with what the person must do.
 *
 * @throws {CommandError} `credentials` when the person declines or is too late; `unreachable`
 */
export async function logInByDevice(
  target: LoginTarget,
  show: (prompt: LoginPrompt) => void,
  signal?: AbortSignal,
): Promise<UserTokens> {
  return worded(target, async () => {
    const config = await discover(target);
    const scope = scopesOf(target).join(' ');
    const answer = await oidc.initiateDeviceAuthorization(config, { scope });
    show({
      verificationUrl: answer.verification_uri,
      userCode: answer.user_code,
      completeUrl: answer.verification_uri_complete,
    });
    const codeEnd = AbortSignal.timeout(answer.expires_in * 1000);
    const signals = signal === undefined ? [codeEnd] : [codeEnd, signal];
    try {
      const tokens = await oidc.pollDeviceAuthorizationGrant(config, answer, undefined, {
        signal: AbortSignal.any(signals),
      });
      return userTokens(tokens, undefined);
    } catch (cause) {
      if (signal?.aborted === true) throw ended('The login was given up', cause);
      if (codeEnd.aborted) throw ended(oauthErrors.expired_token, cause);
      throw cause;
    }
  });
}

/**
 * Ends a login at its issuer (RFC 7009): its refresh token, and what was made of it, open nothing any more. An ID token that
 * is out already lives to its end.
 *
 * @throws {CommandError}
 */
export async function revokeUserTokens(target: LoginTarget, refreshToken: string): Promise<void> {
  return worded(target, async () => {
    const config = await discover(target);
    await oidc.tokenRevocation(config, refreshToken, { token_type_hint: 'refresh_token' });
  });
}

/** Gets fresh tokens by the refresh token (RFC 6749 section 6). @throws {CommandError} */
export async function refreshUserTokens(
  target: LoginTarget,
  refreshToken: string,
): Promise<UserTokens> {
  return worded(target, async () => {
    const config = await discover(target);
    return userTokens(await oidc.refreshTokenGrant(config, refreshToken), refreshToken);
  });
}

/** The issuer to log in at: the named one, or the only one. @throws {CommandError} `usage` */
export function chooseIssuer(issuers: readonly Issuer[], wanted: string | undefined): Issuer {
  const found = wanted === undefined ? issuers : issuers.filter(({ url }) => url === wanted);
  const [first, ...others] = found;
  if (first !== undefined && others.length === 0) return first;
  const urls = issuers.map(({ url }) => url).join(', ');
  throw new CommandError(
    ExitCode.usage,
    first === undefined ? `The service has no such issuer` : 'The service has several issuers',
    `Choose one with --issuer: ${urls}`,
  );
}

function scopesOf({ issuer }: LoginTarget): string[] {
  return issuer.scopes.length > 0 ? issuer.scopes : ['openid', 'email'];
}

async function discover({ issuer, caPem, proxies }: LoginTarget): Promise<oidc.Configuration> {
  const url = new URL(issuer.url);
  if (url.protocol !== 'https:') {
    throw new CommandError(
      ExitCode.untrusted,
      `The issuer ${issuer.url} is not encrypted`,
      'The operator of the service must configure an https:// issuer',
    );
  }
  const customFetch = trustingFetch(caPem, proxies);
  return oidc.discovery(url, issuer.clientId, undefined, oidc.None(), {
    [oidc.customFetch]: customFetch,
  });
}

/** A fetch that believes the service's CA besides the system's; an issuer may be under either. */
function trustingFetch(caPem: string | undefined, proxies: ProxySettings): oidc.CustomFetch {
  const ca = caPem === undefined ? undefined : [...rootCertificates, caPem];
  const dispatcher = new Agent({ connect: tunnelling({ ca }, proxies), keepAliveTimeout: 1_000 });
  return async (url, options) => {
    const response = await undiciFetch(url, {
      method: options.method,
      headers: options.headers,
      body: bodyOf(options.body),
      redirect: options.redirect,
      signal: options.signal,
      dispatcher,
    });
    // Of undici's own Response class: built anew so that the library gets the platform's.
    const content = await response.arrayBuffer();
    return new Response(content.byteLength === 0 ? null : content, {
      status: response.status,
      headers: [...response.headers],
    });
  };
}

const HTTPS_PORT = 443;

/** A connector that goes through the proxy to hosts that are not excepted. */
function tunnelling(
  options: buildConnector.BuildOptions,
  proxies: ProxySettings,
): buildConnector.connector {
  const connect = buildConnector(options);
  return (to, callback) => {
    const destination = {
      host: to.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: to.port === '' ? HTTPS_PORT : Number(to.port),
    };
    const proxy = proxyTo(proxies, destination);
    if (proxy === undefined) {
      connect(to, callback);
      return;
    }
    void openTunnel(proxy, destination.host, destination.port).then(
      (httpSocket) => connect({ ...to, httpSocket }, callback),
      fail(callback),
    );
  };
}

function fail(callback: buildConnector.Callback): (error: Error) => void {
  return (error) => callback(error, null);
}

function bodyOf(body: oidc.FetchBody): URLSearchParams | string | undefined {
  return body instanceof URLSearchParams || typeof body === 'string' ? body : undefined;
}

function userTokens(
  tokens: Awaited<ReturnType<typeof oidc.refreshTokenGrant>>,
  refreshBefore: string | undefined,
): UserTokens {
  const claims = tokens.claims();
  if (tokens.id_token === undefined || claims === undefined) {
    throw new CommandError(
      ExitCode.credentials,
      'The issuer gave no ID token',
      'The operator must allow the scope openid for this client',
    );
  }
  return {
    idToken: tokens.id_token,
    refreshToken: tokens.refresh_token ?? refreshBefore,
    expireAtMs: claims.exp * 1000,
  };
}

async function worded<T>(target: LoginTarget, calls: () => Promise<T>): Promise<T> {
  try {
    return await calls();
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw explainLoginFailure(target, error);
  }
}

const oauthErrors = {
  access_denied: 'The login was declined',
  expired_token: 'The login was not confirmed in time',
  invalid_grant: 'The login has ended',
} as const;

function ended(message: string, cause: unknown): CommandError {
  return new CommandError(ExitCode.credentials, message, 'Log in again', { cause });
}

function explainLoginFailure({ issuer, proxies }: LoginTarget, cause: unknown): CommandError {
  const service = parseServiceUrl(new URL(issuer.url).origin);
  const atFault = causesOf(cause).find(isOfConnection);
  if (atFault !== undefined && proxyTo(proxies, service) !== undefined) {
    return explainConnectFailure({ service, proxies }, atFault);
  }
  const code = cause instanceof oidc.ResponseBodyError ? cause.error : undefined;
  const known = Object.entries(oauthErrors).find(([error]) => error === code);
  if (known !== undefined) return ended(known[1], cause);
  const detail = code ?? (cause instanceof Error ? cause.message : String(cause));
  return new CommandError(
    ExitCode.unreachable,
    `Login at ${issuer.url} failed (${detail})`,
    'Check that this machine reaches the issuer and believes its certificate',
    { cause },
  );
}

/** The error and what it says caused it, outermost first. */
function causesOf(error: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  for (let next = error; next instanceof Error && !chain.includes(next); next = next.cause)
    chain.push(next);
  return chain;
}

/** Errors of a proxy, of sockets and of TLS; those of the login libraries have codes of another form. */
function isOfConnection(error: unknown): boolean {
  if (error instanceof ProxyError) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(E[A-Z]+|ERR_(SSL|TLS)_\w+|\w*(CERT|VERIFY|SELF_SIGNED)\w*)$/.test(code);
}

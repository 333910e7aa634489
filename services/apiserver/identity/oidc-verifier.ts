import { readFileSync } from 'node:fs';
import { RpcError, unauthenticated, unavailable } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import {
  createRemoteJWKSet,
  customFetch as joseFetch,
  decodeJwt,
  errors,
  type JWTPayload,
  jwtVerify,
} from 'jose';
import { customFetch, discovery, None } from 'openid-client';
import { Agent, fetch as undiciFetch } from 'undici';
import { z } from 'zod';
import { isPlainText } from '../core/text-field.ts';

/** An issuer that the operator trusts. */
export interface TrustedIssuer {
  /** Issuer identifier. */
  url: string;
  /** Client identifier of the command line and the agent: the audience of ID tokens. */
  clientId: string;
  /** File with the CA of the issuer's certificate; absent for the system's. */
  caFile?: string;
}

/** A person, as an issuer states it. */
export interface OidcIdentity {
  issuer: string;
  subject: string;
  email: string;
  emailVerified: boolean;
  displayName: string;
}

/** Verifies ID tokens. */
export interface OidcVerifier {
  /**
   * Verifies signature, issuer, audience and times (60 s of skew).
   *
   * @throws {RpcError} UNAUTHENTICATED, or UNAVAILABLE when the issuer's keys are out of reach and none are cached
   */
  verify(token: string): Promise<OidcIdentity>;
}

/** Asymmetric algorithms only: a shared secret could be guessed, and "none" is none. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'EdDSA',
  'Ed25519',
];

/** Skew of clocks that is tolerated, in seconds. */
const clockToleranceSeconds = 60;

/** A claim that can be stored and shown. */
const claim = (longest: number): z.ZodString => z.string().max(longest).refine(isPlainText);

/**
 * How long fetched keys are used without being fetched again, in milliseconds. An unknown key id is looked up at once, so
 * this bounds two other things: how long people whose tokens are good stay in while the issuer is down, and how long a key
 * that the issuer withdrew is believed.
 */
const keysKeptMs = 60 * 60_000;

const claims = z.object({
  sub: claim(255).min(1),
  email: claim(320).default(''),
  email_verified: z.boolean().default(false),
  name: claim(200).default(''),
  preferred_username: claim(200).default(''),
});

type KeySet = ReturnType<typeof createRemoteJWKSet>;

/** Makes a verifier for the issuers. Nothing is fetched before the first token. */
export function createOidcVerifier(
  issuers: readonly TrustedIssuer[],
  logger: Logger,
): OidcVerifier {
  const keySets = new Map<string, Promise<KeySet>>();
  const keysOf = (issuer: TrustedIssuer): Promise<KeySet> => {
    const known = keySets.get(issuer.url);
    if (known !== undefined) return known;
    const found = discoverKeys(issuer);
    keySets.set(issuer.url, found);
    found.catch(() => keySets.delete(issuer.url));
    return found;
  };
  return {
    verify: async (token) => {
      const issuer = issuerOf(token, issuers);
      try {
        const keys = await keysOf(issuer);
        const { payload } = await jwtVerify(token, keys, {
          issuer: issuer.url,
          audience: issuer.clientId,
          algorithms,
          clockTolerance: clockToleranceSeconds,
          requiredClaims: ['exp', 'iat', 'sub'],
        });
        checkAuthorizedParty(payload, issuer);
        return identityOf(payload, issuer);
      } catch (error) {
        throw refusal(error, issuer, logger);
      }
    },
  };
}

function issuerOf(token: string, issuers: readonly TrustedIssuer[]): TrustedIssuer {
  let named: string | undefined;
  try {
    named = decodeJwt(token).iss;
  } catch {
    throw unauthenticated('TOKEN_MALFORMED', 'the token is not a JWT: log in again');
  }
  const issuer = issuers.find((candidate) => candidate.url === named);
  if (issuer === undefined)
    throw unauthenticated(
      'ISSUER_UNKNOWN',
      'the token comes from an issuer that is not trusted here',
    );
  return issuer;
}

async function discoverKeys(issuer: TrustedIssuer): Promise<KeySet> {
  const fetchIt = fetchTrusting(issuer.caFile);
  const configuration = await discovery(new URL(issuer.url), issuer.clientId, undefined, None(), {
    [customFetch]: fetchIt,
  });
  const address = configuration.serverMetadata().jwks_uri;
  if (address === undefined) throw new Error(`${issuer.url} publishes no jwks_uri`);
  return createRemoteJWKSet(new URL(address), {
    [joseFetch]: fetchIt,
    timeoutDuration: 5_000,
    cacheMaxAge: keysKeptMs,
  });
}

/** A fetch that trusts one CA, or the system's. */
function fetchTrusting(caFile: string | undefined): typeof fetch {
  if (caFile === undefined) return fetch;
  const dispatcher = new Agent({ connect: { ca: readFileSync(caFile, 'utf8') } });
  const fetchIt: unknown = (url: string, init: Parameters<typeof undiciFetch>[1]) =>
    undiciFetch(url, { ...init, dispatcher });
  // undici's fetch is the one that Node ships; only their type declarations differ.
  return fetchIt as typeof fetch;
}

/** OpenID Connect Core 3.1.3.7, 4 and 5: with several audiences the authorized party must be us. */
function checkAuthorizedParty(payload: JWTPayload, issuer: TrustedIssuer): void {
  const party = payload['azp'];
  const isOneOfSeveral = Array.isArray(payload.aud) && payload.aud.length > 1;
  if (party === undefined ? isOneOfSeveral : party !== issuer.clientId) {
    throw unauthenticated('TOKEN_INVALID', 'the token was issued to another client');
  }
}

function identityOf(payload: JWTPayload, issuer: TrustedIssuer): OidcIdentity {
  const parsed = claims.safeParse(payload);
  if (!parsed.success) throw unauthenticated('TOKEN_INVALID', 'the token has unusable claims');
  const {
    sub,
    email,
    email_verified: emailVerified,
    name,
    preferred_username: username,
  } = parsed.data;
  return {
    issuer: issuer.url,
    subject: sub,
    email,
    emailVerified,
    displayName: name || username || email,
  };
}

function refusal(error: unknown, issuer: TrustedIssuer, logger: Logger): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof errors.JWTExpired)
    return unauthenticated('TOKEN_EXPIRED', 'the login has expired: log in again');
  if (
    error instanceof errors.JWTClaimValidationFailed &&
    error.reason === 'check_failed' &&
    (error.claim === 'iat' || error.claim === 'nbf')
  ) {
    return unauthenticated(
      'CLOCK_SKEW',
      'the token is from the future: check the clocks of issuer and service',
    );
  }
  const isTokenFault =
    error instanceof errors.JOSEError &&
    !(error instanceof errors.JWKSTimeout) &&
    !(error instanceof errors.JWKSInvalid) &&
    error.code !== 'ERR_JOSE_GENERIC';
  if (isTokenFault)
    return unauthenticated('TOKEN_INVALID', 'the token is not acceptable: log in again');
  logger.warn({ issuer: issuer.url, error }, 'issuer out of reach');
  return unavailable(`the identity provider ${issuer.url} is out of reach: try again`, {
    retryAfterMs: 2_000,
    cause: error,
  });
}

import { z } from 'zod';
import type { RandomBytes } from '@nexodus/wireguard';
import type { Ed25519PrivateKey } from './ed25519-private-key.ts';
import type { Ed25519PublicKey } from './ed25519-public-key.ts';
import {
  CLOCK_SKEW_TOLERANCE_SECONDS,
  createTokenId,
  numericDate,
  requireClaim,
  signToken,
  verifyToken,
} from './signed-token.ts';
import { textClaim, timeClaim, tokenIdClaim } from './token-claims.ts';
import { TokenError } from './token-error.ts';

/** Longest and default life of an access token (protocol.md section 1). */
export const ACCESS_TOKEN_LIFETIME_SECONDS = 3600;

const TYPE = 'at+jwt';

const claimsSchema = z.object({
  iss: textClaim,
  aud: textClaim,
  sub: textClaim,
  kind: z.enum(['device', 'service_account']),
  cnf: z.object({ jkt: z.string().regex(/^[A-Za-z0-9_-]{43}$/) }),
  jti: tokenIdClaim,
  iat: timeClaim,
  exp: timeClaim,
});

/** Who holds an access token. */
export type AccessTokenKind = 'device' | 'service_account';

/** What a token says. */
export interface AccessTokenOptions {
  /** The device id or service-account id. */
  readonly subject: string;
  readonly kind: AccessTokenKind;
  /** Thumbprint of the key that the token is bound to (`cnf.jkt`, RFC 9449 section 6.1). */
  readonly thumbprint: string;
  /** The service's audience; also the issuer. */
  readonly audience: string;
  readonly now: Date;
  /** 1 to 3,600; 3,600 by default. */
  readonly lifetimeSeconds?: number;
  /** The system's generator unless a test gives another. */
  readonly random?: RandomBytes;
}

/** A verified access token. It says nothing without a proof of possession by its key. */
export interface AccessToken {
  readonly subject: string;
  readonly kind: AccessTokenKind;
  readonly thumbprint: string;
  readonly tokenId: string;
  readonly expiresAt: Date;
}

/** Makes an access token (RFC 9068) bound to a key (RFC 7800). Throws RangeError for its life. */
export async function createAccessToken(
  options: AccessTokenOptions,
  key: Ed25519PrivateKey<'token'>,
): Promise<string> {
  const { subject, kind, thumbprint, audience, now, random } = options;
  const lifetimeSeconds = options.lifetimeSeconds ?? ACCESS_TOKEN_LIFETIME_SECONDS;
  if (!(lifetimeSeconds >= 1 && lifetimeSeconds <= ACCESS_TOKEN_LIFETIME_SECONDS)) {
    throw new RangeError(`An access token lives 1 to ${ACCESS_TOKEN_LIFETIME_SECONDS} s.`);
  }
  const issuedAt = numericDate(now);
  const claims = {
    iss: audience,
    aud: audience,
    sub: subject,
    kind,
    cnf: { jkt: thumbprint },
    jti: createTokenId(random),
    iat: issuedAt,
    exp: issuedAt + Math.floor(lifetimeSeconds),
  };
  return signToken({ typ: TYPE }, claims, key);
}

/**
 * Verifies a token of this service. Throws TokenError: `expired` past its time, `clock-skew` when
 * it was issued more than 60 s after `now` (by a replica whose clock is ahead).
 */
export async function verifyAccessToken(
  token: string,
  demands: {
    readonly audience: string;
    readonly publicKey: Ed25519PublicKey<'token'>;
    readonly now: Date;
  },
): Promise<AccessToken> {
  const { audience, publicKey, now } = demands;
  const claims = await verifyToken(token, publicKey, { typ: TYPE, claims: claimsSchema });
  requireClaim('iss', claims.iss, audience);
  requireClaim('aud', claims.aud, audience);
  if (claims.exp - claims.iat > ACCESS_TOKEN_LIFETIME_SECONDS) {
    throw new TokenError('wrong-claim', 'An access token lives at most 1 h.', { claim: 'exp' });
  }
  const nowSeconds = numericDate(now);
  if (claims.exp <= nowSeconds) throw new TokenError('expired', 'The access token has expired.');
  const skewSeconds = claims.iat - nowSeconds;
  if (skewSeconds > CLOCK_SKEW_TOLERANCE_SECONDS) {
    throw new TokenError('clock-skew', 'The access token is dated in the future.', { skewSeconds });
  }
  return {
    subject: claims.sub,
    kind: claims.kind,
    thumbprint: claims.cnf.jkt,
    tokenId: claims.jti,
    expiresAt: new Date(claims.exp * 1000),
  };
}

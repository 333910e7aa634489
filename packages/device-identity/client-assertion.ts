import { z } from 'zod';
import { decodeJwt, errors } from 'jose';
import type { RandomBytes } from '@nexodus/wireguard';
import type { CallerPrivateKey } from './ed25519-private-key.ts';
import type { CallerPurpose, Ed25519PublicKey } from './ed25519-public-key.ts';
import {
  createTokenId,
  numericDate,
  readHeader,
  requireClaim,
  requireFresh,
  signToken,
  verifyToken,
} from './signed-token.ts';
import { textClaim, timeClaim, tokenIdClaim } from './token-claims.ts';
import { TokenError } from './token-error.ts';

/** Longest life of an assertion (protocol.md section 1). */
const CLIENT_ASSERTION_LIFETIME_SECONDS = 60;

const TYPE = 'client-authentication+jwt';

const claimsSchema = z.object({
  iss: textClaim,
  sub: textClaim,
  aud: textClaim,
  jti: tokenIdClaim,
  iat: timeClaim,
  exp: timeClaim,
});

/** What a caller states about itself. */
export interface ClientAssertionOptions {
  /** The device id or service-account id. */
  readonly subject: string;
  /** The service's audience. */
  readonly audience: string;
  readonly key: CallerPrivateKey;
  readonly now: Date;
  /** The system's generator unless a test gives another. */
  readonly random?: RandomBytes;
}

/** A verified assertion. */
export interface VerifiedAssertion {
  readonly subject: string;
  /** Single use: to be refused when seen before, until `forgetAt`. */
  readonly tokenId: string;
  /** From when on the assertion is refused by its time alone. */
  readonly forgetAt: Date;
}

/** Makes an assertion for `private_key_jwt` (RFC 7523 sections 2.2 and 3), valid 60 s. */
export function createClientAssertion(options: ClientAssertionOptions): Promise<string> {
  const { subject, audience, key, now, random } = options;
  const issuedAt = numericDate(now);
  return signToken(
    { typ: TYPE },
    {
      iss: subject,
      sub: subject,
      aud: audience,
      jti: createTokenId(random),
      iat: issuedAt,
      exp: issuedAt + CLIENT_ASSERTION_LIFETIME_SECONDS,
    },
    key,
  );
}

/**
 * The subject that an assertion claims, **not verified**: only to find the key with which to
 * verify it. Throws TokenError(`malformed`).
 */
export function readAssertionSubject(assertion: string): string {
  const subject = textClaim.safeParse(readUnverifiedSubject(assertion));
  if (subject.success) return subject.data;
  throw new TokenError('malformed', 'The assertion names no subject.');
}

/**
 * Verifies an assertion with the public key on record for its subject: signature, `iss` = `sub`,
 * audience, a life of at most 60 s, dated within 60 s of `now`. Throws TokenError. The caller
 * still has to refuse a `tokenId` seen before.
 */
export async function verifyClientAssertion(
  assertion: string,
  demands: {
    readonly audience: string;
    readonly publicKey: Ed25519PublicKey<CallerPurpose>;
    readonly now: Date;
  },
): Promise<VerifiedAssertion> {
  const { publicKey, audience, now } = demands;
  const claims = await verifyToken(assertion, publicKey, { typ: TYPE, claims: claimsSchema });
  requireClaim('iss', claims.iss, claims.sub);
  requireClaim('aud', claims.aud, audience);
  const lifetime = claims.exp - claims.iat;
  if (lifetime <= 0 || lifetime > CLIENT_ASSERTION_LIFETIME_SECONDS) {
    throw new TokenError('wrong-claim', 'An assertion lives at most 60 s.', { claim: 'exp' });
  }
  requireFresh(claims.iat, now);
  if (claims.exp < numericDate(now)) throw new TokenError('expired', 'The assertion has expired.');
  return {
    subject: claims.sub,
    tokenId: claims.jti,
    forgetAt: new Date((claims.exp + 1) * 1000),
  };
}

function readUnverifiedSubject(assertion: string): unknown {
  readHeader(assertion);
  try {
    return decodeJwt(assertion).sub;
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { RandomBytes } from '@nexodus/wireguard';
import type { CallerPrivateKey } from './ed25519-private-key.ts';
import {
  InvalidSigningKeyError,
  ed25519Jwk,
  ed25519Thumbprint,
  parseEd25519PublicKey,
} from './ed25519-public-key.ts';
import type { Ed25519PublicKey } from './ed25519-public-key.ts';
import {
  CLOCK_SKEW_TOLERANCE_SECONDS,
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

const TYPE = 'dpop+jwt';
const HTTP_METHOD = 'POST';

const claimsSchema = z.object({
  htm: textClaim,
  htu: z.string().min(1).max(1024),
  ath: textClaim,
  jti: tokenIdClaim,
  iat: timeClaim,
});

/** Strict: a header that carries a private key (`d`) is refused (RFC 9449 section 4.3). */
const jwkSchema = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});

/** One call to be proven. */
export interface ProofOptions {
  readonly key: CallerPrivateKey;
  /** The access token sent with the call. */
  readonly accessToken: string;
  /** The service's audience. */
  readonly audience: string;
  /** The gRPC method's path, "/nexodus.agent.v1.AgentService/Connect". */
  readonly method: string;
  readonly now: Date;
  /** The system's generator unless a test gives another. */
  readonly random?: RandomBytes;
}

/** What a proof must match. */
export interface ProofDemands {
  readonly accessToken: string;
  /** The thumbprint that the verified access token is bound to. */
  readonly thumbprint: string;
  readonly audience: string;
  readonly method: string;
  readonly now: Date;
}

/** A proof that holds, to be entered in the store of seen proofs. */
export interface VerifiedProof {
  /** Single use per thumbprint: to be refused when seen before, until `forgetAt`. */
  readonly tokenId: string;
  readonly thumbprint: string;
  /** From when on the proof is refused by its time alone; at most 121 s from now. */
  readonly forgetAt: Date;
}

/** Makes the proof of one call (RFC 9449 section 4.2), good within 60 s of `now`. */
export function createProofOfPossession(options: ProofOptions): Promise<string> {
  const { key, accessToken, audience, method, now, random } = options;
  const claims = {
    htm: HTTP_METHOD,
    htu: audience + method,
    ath: hashAccessToken(accessToken),
    jti: createTokenId(random),
    iat: numericDate(now),
  };
  return signToken({ typ: TYPE, jwk: ed25519Jwk(key.publicKey) }, claims, key);
}

/**
 * Verifies the proof of one call (RFC 9449 section 4.3): signed by the key in its header, that
 * key the one the token is bound to, for this method and this token, dated within 60 s of `now`.
 * Throws TokenError. The caller still has to refuse a `tokenId` seen before.
 */
export async function verifyProofOfPossession(
  proof: string,
  demands: ProofDemands,
): Promise<VerifiedProof> {
  const publicKey = readKey(proof);
  const claims = await verifyToken(proof, publicKey, { typ: TYPE, claims: claimsSchema });
  const thumbprint = ed25519Thumbprint(publicKey);
  if (!equalTexts(thumbprint, demands.thumbprint)) {
    throw new TokenError('wrong-key', 'The proof is signed by another key than the token names.');
  }
  requireClaim('htm', claims.htm, HTTP_METHOD);
  requireClaim('htu', claims.htu, demands.audience + demands.method);
  requireClaim('ath', claims.ath, hashAccessToken(demands.accessToken));
  requireFresh(claims.iat, demands.now);
  const forgetAtSeconds = claims.iat + CLOCK_SKEW_TOLERANCE_SECONDS + 1;
  return { tokenId: claims.jti, thumbprint, forgetAt: new Date(forgetAtSeconds * 1000) };
}

function readKey(proof: string): Ed25519PublicKey<'device' | 'service-account'> {
  const jwk = jwkSchema.safeParse(readHeader(proof).jwk);
  if (!jwk.success) throw new TokenError('malformed', 'The proof carries no Ed25519 public key.');
  try {
    return parseEd25519PublicKey(Buffer.from(jwk.data.x, 'base64url'), 'device');
  } catch (error) {
    if (error instanceof InvalidSigningKeyError) throw new TokenError('malformed', error.message);
    throw error;
  }
}

function hashAccessToken(accessToken: string): string {
  return createHash('sha256').update(accessToken, 'utf8').digest('base64url');
}

function equalTexts(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

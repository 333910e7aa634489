import { randomBytes } from 'node:crypto';
import { CompactSign, compactVerify, decodeProtectedHeader, errors } from 'jose';
import type { JWTPayload } from 'jose';
import type { z } from 'zod';
import type { RandomBytes } from '@nexodus/wireguard';
import { ed25519KeyObject } from './ed25519-public-key.ts';
import type { Ed25519PrivateKey } from './ed25519-private-key.ts';
import type { Ed25519PublicKey, Ed25519Purpose } from './ed25519-public-key.ts';
import { TokenError } from './token-error.ts';

/**
 * How far the clocks of a caller and the service may differ, and how old a self-made statement
 * may be (protocol.md section 1). With both, a statement's id is forgotten after two minutes.
 */
export const CLOCK_SKEW_TOLERANCE_SECONDS = 60;

const MAX_TOKEN_CHARACTERS = 4096;
const ALGORITHM = 'EdDSA';
const TOKEN_ID_BYTES = 16;

/** Header, claims, and the one base64url text of a 64-byte signature: its last 4 bits are zero. */
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{85}[AQgw]$/;

/** Seconds since 1970, rounded down, as JWT counts (RFC 7519 section 2, NumericDate). */
export function numericDate(instant: Date): number {
  return Math.floor(instant.getTime() / 1000);
}

/** A fresh `jti`: 128 random bits as base64url. */
export function createTokenId(random: RandomBytes = randomBytes): string {
  return Buffer.from(random(TOKEN_ID_BYTES)).toString('base64url');
}

/** Signs claims as a compact JWS (RFC 7515) with EdDSA. */
export function signToken(
  header: { readonly typ: string; readonly jwk?: Record<string, string> },
  claims: JWTPayload,
  key: Ed25519PrivateKey<Ed25519Purpose>,
): Promise<string> {
  return new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader({ alg: ALGORITHM, ...header })
    .sign(key.keyObject());
}

/** The unverified header of a token. Throws TokenError(`malformed`). */
export function readHeader(token: string): ReturnType<typeof decodeProtectedHeader> {
  if (token.length > MAX_TOKEN_CHARACTERS) throw malformed();
  try {
    return decodeProtectedHeader(token);
  } catch {
    throw malformed();
  }
}

/**
 * Verifies the signature first, then `typ`, then the shape of the claims. Throws TokenError.
 * Values and times are the caller's to compare.
 */
export async function verifyToken<T>(
  token: string,
  key: Ed25519PublicKey,
  expected: { readonly typ: string; readonly claims: z.ZodType<T> },
): Promise<T> {
  if (readHeader(token).alg !== ALGORITHM) {
    throw new TokenError('wrong-algorithm', 'Only EdDSA tokens are accepted.');
  }
  if (!FORM.test(token)) throw malformed();
  const { payload, protectedHeader } = await verifySignature(token, key);
  if (protectedHeader.typ !== expected.typ) throw wrongClaim('typ');
  return parseClaims(payload, expected.claims);
}

/** Parses the JSON of a payload. Throws TokenError(`malformed`). */
function parseClaims<T>(payload: Uint8Array, schema: z.ZodType<T>): T {
  try {
    const claims: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
    const parsed = schema.safeParse(claims);
    if (parsed.success) return parsed.data;
  } catch {
    throw malformed();
  }
  throw malformed();
}

/** Throws TokenError(`wrong-claim`) unless the claim has the demanded value. */
export function requireClaim(claim: string, actual: string, demanded: string): void {
  if (actual !== demanded) throw wrongClaim(claim);
}

/** Throws TokenError(`clock-skew`) for a statement dated more than 60 s from now. */
export function requireFresh(issuedAtSeconds: number, now: Date): void {
  const skewSeconds = issuedAtSeconds - numericDate(now);
  if (Math.abs(skewSeconds) <= CLOCK_SKEW_TOLERANCE_SECONDS) return;
  const side = skewSeconds > 0 ? 'ahead of' : 'behind';
  throw new TokenError(
    'clock-skew',
    `The caller's clock is ${Math.abs(skewSeconds)} s ${side} the service's; ` +
      `${CLOCK_SKEW_TOLERANCE_SECONDS} s are allowed. Set the clock.`,
    { skewSeconds },
  );
}

async function verifySignature(
  token: string,
  key: Ed25519PublicKey,
): ReturnType<typeof compactVerify> {
  try {
    return await compactVerify(token, ed25519KeyObject(key), { algorithms: [ALGORITHM] });
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) {
      throw new TokenError('bad-signature', 'The signature of the token does not hold.');
    }
    if (error instanceof errors.JOSEError) throw malformed();
    throw error;
  }
}

function malformed(): TokenError {
  return new TokenError('malformed', 'The token is not of the expected form.');
}

function wrongClaim(claim: string): TokenError {
  return new TokenError('wrong-claim', `The token's "${claim}" is not what this call demands.`, {
    claim,
  });
}

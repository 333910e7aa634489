import { z } from 'zod';

/** A claim that is text of at most 512 characters. */
export const textClaim = z.string().min(1).max(512);

/** A `jti`: 16 to 64 characters of base64url, so that stores of seen ids stay small. */
export const tokenIdClaim = z.string().regex(/^[A-Za-z0-9_-]{16,64}$/);

/** A time in whole seconds since 1970 (RFC 7519 section 2). */
export const timeClaim = z.number().int().min(0).max(0xff_ffff_ffff);

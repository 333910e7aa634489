import { createHash, createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

declare const purposeBrand: unique symbol;

/** Size of Ed25519 seeds and public keys (RFC 8032 section 5.1.5). */
export const ED25519_KEY_BYTES = 32;

/**
 * Whose key it is. `device`: made on a machine, never leaves it; `service-account`: the key pair
 * of a credentials file; `token` and `relay-grant`: the service's own, sign access tokens and what
 * relays honour.
 */
export type Ed25519Purpose = 'device' | 'service-account' | 'token' | 'relay-grant';

/** A caller of the service that authenticates by a key pair. */
export type CallerPurpose = 'device' | 'service-account';

/** An Ed25519 public key, 32 bytes, canonical and not of small order, branded with its purpose. */
export type Ed25519PublicKey<P extends Ed25519Purpose = Ed25519Purpose> = Uint8Array & {
  readonly [purposeBrand]: P;
};

/** The key a device is known by. */
export type DevicePublicKey = Ed25519PublicKey<'device'>;

/** Thrown for bytes that are no acceptable Ed25519 key. Its text never holds key material. */
export class InvalidSigningKeyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidSigningKeyError';
  }
}

/** DER of a SubjectPublicKeyInfo for Ed25519, up to the 32 key bytes (RFC 8410 section 4). */
export const ED25519_SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

const PRIME = 2n ** 255n - 19n;

const ORDER_8_Y = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;

/** y-coordinates, of either sign, of the eight points whose order divides the cofactor 8. */
const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  PRIME - 1n,
  ORDER_8_Y,
  PRIME - ORDER_8_Y,
]);

/**
 * Checks 32 outside bytes and brands a copy of them. Throws InvalidSigningKeyError for another
 * length, a coordinate of 2^255 - 19 or more (one key has one encoding), and points of small
 * order, for which signatures can be made without a private key.
 */
export function parseEd25519PublicKey<P extends Ed25519Purpose>(
  bytes: Uint8Array,
  purpose: P,
): Ed25519PublicKey<P> {
  if (bytes.length !== ED25519_KEY_BYTES) {
    throw new InvalidSigningKeyError(
      `A ${purpose} public key is ${ED25519_KEY_BYTES} bytes, not ${bytes.length}.`,
    );
  }
  const y = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`) & (2n ** 255n - 1n);
  if (y >= PRIME) throw new InvalidSigningKeyError(`The ${purpose} public key is not canonical.`);
  if (SMALL_ORDER_Y.has(y)) {
    throw new InvalidSigningKeyError(`The ${purpose} public key is a point of small order.`);
  }
  return new Uint8Array(bytes) as Ed25519PublicKey<P>;
}

/** `parseEd25519PublicKey` for a device's key. */
export function parseDevicePublicKey(bytes: Uint8Array): DevicePublicKey {
  return parseEd25519PublicKey(bytes, 'device');
}

/** Whether two public keys of one purpose are the same key. */
export function ed25519PublicKeysEqual<P extends Ed25519Purpose>(
  left: Ed25519PublicKey<P>,
  right: Ed25519PublicKey<P>,
): boolean {
  return Buffer.compare(left, right) === 0;
}

/** A public key as JWK (RFC 8037 section 2). */
export function ed25519Jwk(key: Ed25519PublicKey): { kty: 'OKP'; crv: 'Ed25519'; x: string } {
  return { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key).toString('base64url') };
}

/**
 * The key's fingerprint: its JWK thumbprint with SHA-256 as base64url, 43 characters
 * (RFC 7638 section 3, RFC 8037 appendix A.3). Access tokens carry it as `cnf.jkt`.
 */
export function ed25519Thumbprint(key: Ed25519PublicKey): string {
  const { crv, kty, x } = ed25519Jwk(key);
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}

/** The key as node:crypto and jose take it. */
export function ed25519KeyObject(key: Ed25519PublicKey): KeyObject {
  const der = Buffer.concat([ED25519_SPKI_PREFIX, key]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

/** Whether `signature` is the key's Ed25519 signature (RFC 8032 section 5.1.7) of `message`. */
export function verifyEd25519(
  key: Ed25519PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verify(null, message, ed25519KeyObject(key), signature);
}

import { decodeBase64Key, encodeBase64Key } from './base64-key.ts';
import { InvalidKeyError } from './invalid-key-error.ts';

declare const purposeBrand: unique symbol;

/** Size of private keys, public keys and shared secrets of X25519 (RFC 7748 section 5). */
export const X25519_KEY_BYTES = 32;

/**
 * What a key is for. `wireguard`: the tunnel; `disco`: probes and path negotiation between
 * devices; `enrolment`: the server's one-time key of an enrolment exchange; `derp`: a relay's
 * one-time key of a connection.
 */
export type X25519Purpose = 'wireguard' | 'disco' | 'enrolment' | 'derp';

/**
 * The u-coordinate of a point on Curve25519, 32 bytes little endian, branded with what it is
 * for. Always canonical and never of low order. Compare with `x25519PublicKeysEqual`; as the
 * key of a Map use its base64 text.
 */
export type X25519PublicKey<P extends X25519Purpose = X25519Purpose> = Uint8Array & {
  readonly [purposeBrand]: P;
};

const PRIME = 2n ** 255n - 19n;

/**
 * The canonical u-coordinates whose order divides 8, on the curve or its twist: every private
 * key yields an all-zero secret with them (RFC 7748 section 6.1).
 */
const LOW_ORDER_COORDINATES: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  PRIME - 1n,
]);

function decodeLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

/**
 * Checks 32 outside bytes and brands a copy of them. Throws InvalidKeyError: `wrong-length`;
 * `non-canonical` for a coordinate of 2^255 - 19 or more, the ignored top bit included, so that
 * one point has one encoding and a key cannot enrol twice; `low-order`.
 */
export function parseX25519PublicKey<P extends X25519Purpose>(
  bytes: Uint8Array,
  purpose: P,
): X25519PublicKey<P> {
  if (bytes.length !== X25519_KEY_BYTES) {
    throw new InvalidKeyError(
      'wrong-length',
      `A ${purpose} public key is ${X25519_KEY_BYTES} bytes, not ${bytes.length}.`,
    );
  }
  const coordinate = decodeLittleEndian(bytes);
  if (coordinate >= PRIME) {
    throw new InvalidKeyError('non-canonical', `The ${purpose} public key is not canonical.`);
  }
  if (LOW_ORDER_COORDINATES.has(coordinate)) {
    throw new InvalidKeyError('low-order', `The ${purpose} public key is a point of low order.`);
  }
  return new Uint8Array(bytes) as X25519PublicKey<P>;
}

/** Like `parseX25519PublicKey`, from the base64 text that `wg` prints. */
export function parseX25519PublicKeyText<P extends X25519Purpose>(
  text: string,
  purpose: P,
): X25519PublicKey<P> {
  return parseX25519PublicKey(decodeBase64Key(text), purpose);
}

/** The base64 text of a public key, as `wg` prints it: 44 characters, one per key. */
export function formatX25519PublicKey(key: X25519PublicKey): string {
  return encodeBase64Key(key);
}

/** Whether two public keys of one purpose are the same key. */
export function x25519PublicKeysEqual<P extends X25519Purpose>(
  left: X25519PublicKey<P>,
  right: X25519PublicKey<P>,
): boolean {
  return Buffer.compare(left, right) === 0;
}

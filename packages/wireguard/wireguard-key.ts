import { X25519PrivateKey } from './x25519-private-key.ts';
import { parseX25519PublicKey, parseX25519PublicKeyText } from './x25519-public-key.ts';
import type { RandomBytes } from './x25519-private-key.ts';
import type { X25519PublicKey } from './x25519-public-key.ts';

/** The key by which WireGuard knows a peer. */
export type WireGuardPublicKey = X25519PublicKey<'wireguard'>;

/** A tunnel's private key. It cannot be printed. */
export type WireGuardPrivateKey = X25519PrivateKey<'wireguard'>;

/** Ways to obtain a WireGuardPrivateKey; see X25519PrivateKey for what each throws. */
export const WireGuardPrivateKey = {
  generate: (random?: RandomBytes): WireGuardPrivateKey =>
    X25519PrivateKey.generate('wireguard', random),
  fromBytes: (bytes: Uint8Array): WireGuardPrivateKey =>
    X25519PrivateKey.fromBytes(bytes, 'wireguard'),
  fromBase64: (text: string): WireGuardPrivateKey => X25519PrivateKey.fromBase64(text, 'wireguard'),
} as const;

/** Checks a key as `wg` prints it. Throws InvalidKeyError. */
export function parseWireGuardPublicKey(text: string): WireGuardPublicKey {
  return parseX25519PublicKeyText(text, 'wireguard');
}

/** Checks a key as messages and the database hold it: 32 bytes. Throws InvalidKeyError. */
export function wireGuardPublicKeyFromBytes(bytes: Uint8Array): WireGuardPublicKey {
  return parseX25519PublicKey(bytes, 'wireguard');
}

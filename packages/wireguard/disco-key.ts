import { X25519PrivateKey } from './x25519-private-key.ts';
import { parseX25519PublicKey, parseX25519PublicKeyText } from './x25519-public-key.ts';
import type { RandomBytes } from './x25519-private-key.ts';
import type { X25519PublicKey } from './x25519-public-key.ts';

/** The key that authenticates probes and path negotiation between two devices. */
export type DiscoPublicKey = X25519PublicKey<'disco'>;

/** A device's private disco key. It cannot be printed. */
export type DiscoPrivateKey = X25519PrivateKey<'disco'>;

/** Ways to obtain a DiscoPrivateKey; see X25519PrivateKey for what each throws. */
export const DiscoPrivateKey = {
  generate: (random?: RandomBytes): DiscoPrivateKey => X25519PrivateKey.generate('disco', random),
  fromBytes: (bytes: Uint8Array): DiscoPrivateKey => X25519PrivateKey.fromBytes(bytes, 'disco'),
  fromBase64: (text: string): DiscoPrivateKey => X25519PrivateKey.fromBase64(text, 'disco'),
} as const;

/** Checks a key in base64. Throws InvalidKeyError. */
export function parseDiscoPublicKey(text: string): DiscoPublicKey {
  return parseX25519PublicKeyText(text, 'disco');
}

/** Checks a key as messages and the database hold it: 32 bytes. Throws InvalidKeyError. */
export function discoPublicKeyFromBytes(bytes: Uint8Array): DiscoPublicKey {
  return parseX25519PublicKey(bytes, 'disco');
}

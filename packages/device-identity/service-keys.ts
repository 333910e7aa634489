import { hkdfSync } from 'node:crypto';
import { Ed25519PrivateKey } from './ed25519-private-key.ts';
import { SealingKey } from './sealing.ts';

/** Size of the service's root secret. */
export const ROOT_SECRET_BYTES = 32;

/** The keys that all replicas of a service hold in common. */
export interface ServiceKeys {
  /** Signs and verifies access tokens. */
  readonly tokenSigningKey: Ed25519PrivateKey<'token'>;
  /** Signs what relays honour without asking. */
  readonly relayGrantKey: Ed25519PrivateKey<'relay-grant'>;
  /** Seals enrolment cookies, so that any replica finishes what another began. */
  readonly cookieKey: SealingKey;
}

/**
 * Derives the service's keys from its one root secret with HKDF-SHA256 (RFC 5869), no salt, one
 * info text per key. Throws RangeError unless the secret is 32 bytes.
 */
export function deriveServiceKeys(rootSecret: Uint8Array): ServiceKeys {
  if (rootSecret.length !== ROOT_SECRET_BYTES) {
    throw new RangeError(`The root secret is ${ROOT_SECRET_BYTES} bytes.`);
  }
  const derive = (info: string): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', rootSecret, new Uint8Array(), info, 32));
  return {
    tokenSigningKey: Ed25519PrivateKey.fromSeed(derive('nexodus-token-key-v1'), 'token'),
    relayGrantKey: Ed25519PrivateKey.fromSeed(derive('nexodus-relay-grant-key-v1'), 'relay-grant'),
    cookieKey: new SealingKey(derive('nexodus-cookie-key-v1')),
  };
}

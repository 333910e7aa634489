import { hkdfSync } from 'node:crypto';
import type { DiscoPrivateKey, DiscoPublicKey } from '@nexodus/wireguard';
import { type Direction, DirectionKeys } from './direction-keys.ts';

const LABEL = 'nexodus-probe-v1';
const SECRET_BYTES = 32;

/** The keys of one device for one peer. */
export interface ProbePair {
  /** For what this device sends. */
  readonly outgoing: DirectionKeys;
  /** For what the peer sends. */
  readonly incoming: DirectionKeys;
  /** Whether this device has the lesser disco key of the two, byte by byte. Exactly one of them has. */
  readonly isLesser: boolean;
}

/**
 * Derives a pair's keys: the secret is HKDF-SHA256 of X25519(own, peer), without salt, with "nexodus-probe-v1" and both
 * public keys, the lesser first, as info; from it come the keys of each direction. Undefined where the peer's key is this
 * device's own, with which each would take its own messages for the peer's.
 */
export function deriveProbePair(own: DiscoPrivateKey, peer: DiscoPublicKey): ProbePair | undefined {
  const order = Buffer.compare(own.publicKey, peer);
  if (order === 0) return undefined;
  const isLesser = order < 0;
  const [lesser, greater] = isLesser ? [own.publicKey, peer] : [peer, own.publicKey];
  const info = Buffer.concat([Buffer.from(LABEL), lesser, greater]);
  const shared = own.sharedSecret(peer);
  const secret = Buffer.from(hkdfSync('sha256', shared, new Uint8Array(), info, SECRET_BYTES));
  const keys = (direction: Direction): DirectionKeys => new DirectionKeys(secret, direction);
  return isLesser
    ? { outgoing: keys(0), incoming: keys(1), isLesser }
    : { outgoing: keys(1), incoming: keys(0), isLesser };
}

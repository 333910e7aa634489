import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { InvalidKeyError } from '@nexodus/wireguard';
import type {
  DiscoPrivateKey,
  WireGuardPrivateKey,
  X25519PrivateKey,
  X25519PublicKey,
} from '@nexodus/wireguard';
import type { DevicePrivateKey } from './ed25519-private-key.ts';
import { verifyEd25519 } from './ed25519-public-key.ts';
import { ENROLMENT_LABEL, enrolmentTranscript } from './enrolment-transcript.ts';
import type { EnrolmentFields } from './enrolment-transcript.ts';

const SIGNATURE_BYTES = 64;
const PROOF_BYTES = 32;

/** The device's proofs that it holds the private keys it enrols. */
export interface EnrolmentProof {
  /** Ed25519 signature of T by the device key, 64 bytes. */
  readonly signature: Uint8Array;
  /** HMAC-SHA256 of T under the secret of the WireGuard key and the server key, 32 bytes. */
  readonly wireGuardProof: Uint8Array;
  /** HMAC-SHA256 of T under the secret of the disco key and the server key, 32 bytes. */
  readonly discoProof: Uint8Array;
}

/** What a device needs to enrol: the service's answer to BeginEnroll and its own keys. */
export interface EnrolmentClaim extends Pick<
  EnrolmentFields,
  'audience' | 'nonce' | 'serverKey' | 'credential'
> {
  readonly deviceKey: DevicePrivateKey;
  readonly wireGuardKey: WireGuardPrivateKey;
  readonly discoKey: DiscoPrivateKey;
}

/** What the service checks: the claimed public keys and proofs against its own one-time key. */
export interface EnrolmentCheck extends Omit<EnrolmentFields, 'serverKey'> {
  readonly serverKey: X25519PrivateKey<'enrolment'>;
  readonly proof: EnrolmentProof;
}

/**
 * Why an enrolment was refused. `malformed-proof`: a signature or proof of the wrong length;
 * `keys-not-distinct`: one X25519 key offered for two purposes; `low-order-key`: a key without a
 * shared secret; the others name the proof that does not hold.
 */
export type EnrolmentRefusal =
  | 'malformed-proof'
  | 'keys-not-distinct'
  | 'low-order-key'
  | 'bad-device-signature'
  | 'bad-wireguard-proof'
  | 'bad-disco-proof';

/** Outcome of `verifyEnrolment`; `transcript` is T, 32 bytes. */
export type EnrolmentVerdict =
  | { readonly ok: true; readonly transcript: Uint8Array }
  | { readonly ok: false; readonly reason: EnrolmentRefusal };

/** Makes the device's proofs. Throws InvalidKeyError for a server key of low order. */
export function proveEnrolment(claim: EnrolmentClaim): EnrolmentProof {
  const transcript = enrolmentTranscript({
    ...claim,
    deviceKey: claim.deviceKey.publicKey,
    wireGuardKey: claim.wireGuardKey.publicKey,
    discoKey: claim.discoKey.publicKey,
  });
  const { nonce, serverKey } = claim;
  return {
    signature: claim.deviceKey.sign(transcript),
    wireGuardProof: provePossession(claim.wireGuardKey, serverKey, { nonce, transcript }),
    discoProof: provePossession(claim.discoKey, serverKey, { nonce, transcript }),
  };
}

/**
 * Checks an enrolment's proofs in constant time. It looks nothing up: that the nonce is unused
 * and the credential valid is for the caller to check, afterwards.
 */
export function verifyEnrolment(check: EnrolmentCheck): EnrolmentVerdict {
  const { proof } = check;
  if (!isWellFormed(proof)) return refuse('malformed-proof');
  if (Buffer.compare(check.wireGuardKey, check.discoKey) === 0) return refuse('keys-not-distinct');
  const transcript = enrolmentTranscript({ ...check, serverKey: check.serverKey.publicKey });
  if (!verifyEd25519(check.deviceKey, transcript, proof.signature)) {
    return refuse('bad-device-signature');
  }
  const expected = expectedProofs(check, transcript);
  if (expected === undefined) return refuse('low-order-key');
  if (!timingSafeEqual(expected.wireGuard, proof.wireGuardProof)) {
    return refuse('bad-wireguard-proof');
  }
  if (!timingSafeEqual(expected.disco, proof.discoProof)) return refuse('bad-disco-proof');
  return { ok: true, transcript };
}

function refuse(reason: EnrolmentRefusal): EnrolmentVerdict {
  return { ok: false, reason };
}

function isWellFormed(proof: EnrolmentProof): boolean {
  return (
    proof.signature.length === SIGNATURE_BYTES &&
    proof.wireGuardProof.length === PROOF_BYTES &&
    proof.discoProof.length === PROOF_BYTES
  );
}

function expectedProofs(
  check: EnrolmentCheck,
  transcript: Uint8Array,
): { wireGuard: Uint8Array; disco: Uint8Array } | undefined {
  const { nonce, serverKey } = check;
  try {
    const wireGuardSecret = serverKey.sharedSecret(check.wireGuardKey);
    const discoSecret = serverKey.sharedSecret(check.discoKey);
    return {
      wireGuard: authenticate(wireGuardSecret, 'wireguard', { nonce, transcript }),
      disco: authenticate(discoSecret, 'disco', { nonce, transcript }),
    };
  } catch (error) {
    if (error instanceof InvalidKeyError) return undefined;
    throw error;
  }
}

interface Exchange {
  readonly nonce: Uint8Array;
  readonly transcript: Uint8Array;
}

function provePossession(
  key: WireGuardPrivateKey | DiscoPrivateKey,
  serverKey: X25519PublicKey<'enrolment'>,
  exchange: Exchange,
): Uint8Array {
  return authenticate(key.sharedSecret(serverKey), key.purpose, exchange);
}

function authenticate(
  sharedSecret: Uint8Array,
  purpose: 'wireguard' | 'disco',
  exchange: Exchange,
): Uint8Array {
  const info = `${ENROLMENT_LABEL} ${purpose}`;
  const key = Buffer.from(hkdfSync('sha256', sharedSecret, exchange.nonce, info, 32));
  return new Uint8Array(createHmac('sha256', key).update(exchange.transcript).digest());
}

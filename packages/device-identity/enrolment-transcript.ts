import { createHash } from 'node:crypto';
import type { DiscoPublicKey, WireGuardPublicKey, X25519PublicKey } from '@nexodus/wireguard';
import type { DevicePublicKey } from './ed25519-public-key.ts';
import { encodeSignedFields } from './signed-fields.ts';

/** Domain of everything derived in an enrolment. */
export const ENROLMENT_LABEL = 'nexodus-enrol-v1';

/** Size of the nonce that the service gives for one enrolment. */
export const ENROLMENT_NONCE_BYTES = 32;

/** By what right a device enrols. */
export type EnrolmentCredential =
  | {
      readonly kind: 'registration-key';
      /** SHA-256 of the registration key's text. */
      readonly hash: Uint8Array;
    }
  | {
      readonly kind: 'user';
      /** Id of the user who logged in. */
      readonly userId: string;
    };

/** Everything that an enrolment's proofs cover. */
export interface EnrolmentFields {
  /** The service's audience: its public URL as the device was given it. */
  readonly audience: string;
  /** The service's nonce, 32 bytes, single use. */
  readonly nonce: Uint8Array;
  /** The service's fresh key of this exchange. */
  readonly serverKey: X25519PublicKey<'enrolment'>;
  readonly deviceKey: DevicePublicKey;
  readonly wireGuardKey: WireGuardPublicKey;
  readonly discoKey: DiscoPublicKey;
  readonly credential: EnrolmentCredential;
}

/**
 * T of docs/protocol/enrolment.md: the SHA-256 (32 bytes) of the label and all fields, each
 * preceded by its length. Key rotation signs the same T with the old device key as well.
 */
export function enrolmentTranscript(fields: EnrolmentFields): Uint8Array {
  const bytes = encodeSignedFields([
    ENROLMENT_LABEL,
    fields.audience,
    fields.nonce,
    fields.serverKey,
    fields.deviceKey,
    fields.wireGuardKey,
    fields.discoKey,
    encodeCredential(fields.credential),
  ]);
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

function encodeCredential(credential: EnrolmentCredential): Uint8Array {
  return credential.kind === 'registration-key'
    ? Buffer.concat([Buffer.of(1), credential.hash])
    : Buffer.concat([Buffer.of(2), Buffer.from(credential.userId, 'utf8')]);
}

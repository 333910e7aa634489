import { GrantPayload, type SignedGrant } from '@nexodus/contracts/relay';
import {
  type Ed25519PrivateKey,
  type Ed25519PublicKey,
  ed25519Thumbprint,
} from '@nexodus/device-identity';
import { GRANT_LABEL, signedBytes } from './signed-bytes.ts';

/** Name of a key that grants are signed with: its thumbprint (RFC 7638), so that no two keys share one. */
export function grantKeyId(publicKey: Ed25519PublicKey<'relay-grant'>): string {
  return ed25519Thumbprint(publicKey);
}

/** Signs a grant as it is; who calls has checked that it may be given. */
export function signGrant(
  payload: GrantPayload,
  key: Ed25519PrivateKey<'relay-grant'>,
): SignedGrant {
  const bytes = GrantPayload.encode(payload).finish();
  return {
    payload: Buffer.from(bytes),
    keyId: grantKeyId(key.publicKey),
    signature: Buffer.from(key.sign(signedBytes(GRANT_LABEL, bytes))),
  };
}

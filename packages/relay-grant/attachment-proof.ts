import {
  type DevicePrivateKey,
  type DevicePublicKey,
  verifyEd25519,
} from '@nexodus/device-identity';
import { ATTACHMENT_LABEL, signedBytes } from './signed-bytes.ts';

/** What a device states when it attaches to a relay. */
export interface AttachmentStatement {
  /** The relay's name, at most 255 bytes. */
  readonly relayId: string;
  /** The relay's challenge: 32 bytes, good for one stream. */
  readonly nonce: Uint8Array;
  /** Payload of the pass, as it was signed. */
  readonly passPayload: Uint8Array;
}

/** Signs the statement with the device key (relay.session.v1 Attachment), 64 bytes. */
export function proveAttachment(statement: AttachmentStatement, key: DevicePrivateKey): Uint8Array {
  return key.sign(statementBytes(statement));
}

/** Whether `signature` is the device's over this statement. */
export function verifyAttachment(
  statement: AttachmentStatement,
  key: DevicePublicKey,
  signature: Uint8Array,
): boolean {
  return verifyEd25519(key, statementBytes(statement), signature);
}

function statementBytes({ nonce, passPayload, relayId }: AttachmentStatement): Uint8Array {
  const name = Buffer.from(relayId, 'utf8');
  if (name.length > 255) throw new RangeError('the name of a relay has at most 255 bytes');
  return signedBytes(ATTACHMENT_LABEL, Buffer.of(name.length), name, nonce, passPayload);
}

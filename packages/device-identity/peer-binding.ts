import type { DiscoPublicKey, WireGuardPublicKey } from '@nexodus/wireguard';
import type { DevicePrivateKey } from './ed25519-private-key.ts';
import { verifyEd25519 } from './ed25519-public-key.ts';
import type { DevicePublicKey } from './ed25519-public-key.ts';
import { encodeSignedFields } from './signed-fields.ts';

const LABEL = 'nexodus-binding-v1';
const SIGNATURE_BYTES = 64;
const MAX_ID_CHARACTERS = 255;
const MAX_SERIAL = 2n ** 64n - 1n;

/** What a device states about itself to its peers. */
export interface PeerBindingFields {
  readonly deviceId: string;
  readonly vpcId: string;
  readonly wireGuardKey: WireGuardPublicKey;
  readonly discoKey: DiscoPublicKey;
  /** Grows with every new binding of the device; 0 .. 2^64 - 1. */
  readonly serial: bigint;
  /** Seconds since 1970 from which on the binding no longer holds. */
  readonly notAfterSeconds: number;
}

/** A binding with the device key's Ed25519 signature, 64 bytes. */
export interface PeerBinding extends PeerBindingFields {
  readonly signature: Uint8Array;
}

/** Why a binding does not hold by itself. `malformed`: a field outside its range. */
export type BindingRefusal = 'malformed' | 'bad-signature' | 'expired';

/** Outcome of `verifyBinding`. */
export type BindingVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: BindingRefusal };

/** Signs a binding. Throws RangeError for a field outside its range. */
export function signBinding(fields: PeerBindingFields, deviceKey: DevicePrivateKey): PeerBinding {
  const { deviceId, vpcId, wireGuardKey, discoKey, serial, notAfterSeconds } = fields;
  if (!isInRange(fields)) throw new RangeError('A field of the binding is outside its range.');
  const signature = deviceKey.sign(encodeBinding(fields));
  return { deviceId, vpcId, wireGuardKey, discoKey, serial, notAfterSeconds, signature };
}

/** Whether the device key signed this binding and it still holds at `now`. */
export function verifyBinding(
  binding: PeerBinding,
  devicePublicKey: DevicePublicKey,
  now: Date,
): BindingVerdict {
  if (!isInRange(binding) || binding.signature.length !== SIGNATURE_BYTES) {
    return { ok: false, reason: 'malformed' };
  }
  if (!verifyEd25519(devicePublicKey, encodeBinding(binding), binding.signature)) {
    return { ok: false, reason: 'bad-signature' };
  }
  if (now.getTime() >= binding.notAfterSeconds * 1000) return { ok: false, reason: 'expired' };
  return { ok: true };
}

/** The bytes that a binding's signature covers (docs/protocol/binding.md). */
export function encodeBinding(fields: PeerBindingFields): Uint8Array {
  return encodeSignedFields([
    LABEL,
    fields.deviceId,
    fields.vpcId,
    fields.wireGuardKey,
    fields.discoKey,
    fields.serial,
    BigInt(fields.notAfterSeconds),
  ]);
}

function isInRange(fields: PeerBindingFields): boolean {
  const isId = (id: string): boolean =>
    id.length >= 1 && id.length <= MAX_ID_CHARACTERS && id.isWellFormed();
  return (
    isId(fields.deviceId) &&
    isId(fields.vpcId) &&
    fields.serial >= 0n &&
    fields.serial <= MAX_SERIAL &&
    Number.isSafeInteger(fields.notAfterSeconds) &&
    fields.notAfterSeconds >= 0
  );
}

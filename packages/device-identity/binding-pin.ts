import { createHash } from 'node:crypto';
import { ed25519PublicKeysEqual } from './ed25519-public-key.ts';
import type { DevicePublicKey } from './ed25519-public-key.ts';
import { encodeBinding, verifyBinding } from './peer-binding.ts';
import type { BindingRefusal, PeerBinding } from './peer-binding.ts';

/** What an agent remembers of a device, for good: one per device id. */
export interface BindingPin {
  readonly deviceId: string;
  readonly deviceKey: DevicePublicKey;
  /** The highest serial accepted. */
  readonly serial: bigint;
  /** SHA-256 of the accepted binding's signed bytes, as hex: two of one serial must be the same. */
  readonly contentHash: string;
}

/**
 * Why a peer's binding was refused. `wrong-device`, `wrong-vpc`: it speaks of another one than the
 * map entry; `changed-device-key`: not the key pinned for this device id; `lower-serial`: older
 * than what was accepted; `conflicting-serial`: a different statement under the pinned serial.
 */
export type PinRefusal =
  | BindingRefusal
  | 'wrong-device'
  | 'wrong-vpc'
  | 'changed-device-key'
  | 'lower-serial'
  | 'conflicting-serial';

/** Outcome of `acceptBinding`: the pin to store, or why the peer must not be shown. */
export type PinVerdict =
  | { readonly accepted: true; readonly pin: BindingPin }
  | { readonly accepted: false; readonly reason: PinRefusal };

/** A binding as it arrives in a map entry. */
export interface BindingOffer {
  /** The device and VPC that the map entry is about. */
  readonly deviceId: string;
  readonly vpcId: string;
  /** The device key that the map entry names. */
  readonly deviceKey: DevicePublicKey;
  readonly binding: PeerBinding;
  readonly now: Date;
}

/**
 * Decides on a peer's binding given what is pinned for its device id: trust on first use, then
 * the same device key and a serial that never falls (protocol.md section 1).
 */
export function acceptBinding(pinned: BindingPin | undefined, offer: BindingOffer): PinVerdict {
  const { binding, deviceKey } = offer;
  if (binding.deviceId !== offer.deviceId) return refuse('wrong-device');
  if (binding.vpcId !== offer.vpcId) return refuse('wrong-vpc');
  const verdict = verifyPinnedKey(pinned, offer) ?? verifyBinding(binding, deviceKey, offer.now);
  if (!verdict.ok) return refuse(verdict.reason);
  const pin = {
    deviceId: binding.deviceId,
    deviceKey,
    serial: binding.serial,
    contentHash: createHash('sha256').update(encodeBinding(binding)).digest('hex'),
  };
  if (pinned !== undefined && pin.serial < pinned.serial) return refuse('lower-serial');
  if (pin.serial === pinned?.serial && pin.contentHash !== pinned.contentHash) {
    return refuse('conflicting-serial');
  }
  return { accepted: true, pin };
}

function refuse(reason: PinRefusal): PinVerdict {
  return { accepted: false, reason };
}

function verifyPinnedKey(
  pinned: BindingPin | undefined,
  offer: BindingOffer,
): { ok: false; reason: PinRefusal } | undefined {
  if (pinned === undefined) return undefined;
  if (pinned.deviceId !== offer.deviceId) return { ok: false, reason: 'wrong-device' };
  return ed25519PublicKeysEqual(pinned.deviceKey, offer.deviceKey)
    ? undefined
    : { ok: false, reason: 'changed-device-key' };
}

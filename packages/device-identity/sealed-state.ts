import { hkdfSync, randomBytes } from 'node:crypto';
import type { RandomBytes } from '@nexodus/wireguard';
import { SealingKey, open, seal } from './sealing.ts';
import type { DevicePrivateKey } from './ed25519-private-key.ts';

/** Thrown by `openState`: the bytes are damaged, cut short, or of another device. */
export class SealedStateError extends Error {
  constructor() {
    super('The sealed state is damaged or was sealed by another device key.');
    this.name = 'SealedStateError';
  }
}

/**
 * Seals a device's local state for its disk, under a key derived from the device key by
 * HKDF-SHA256 (info "nexodus-state-key-v1"). Who lacks the device key can neither read nor
 * alter it; an older sealed state of the same device still opens.
 */
export function sealState(
  state: Uint8Array,
  deviceKey: DevicePrivateKey,
  random: RandomBytes = randomBytes,
): Uint8Array {
  return seal(state, stateKey(deviceKey), 'nexodus-state-v1', random);
}

/** Opens what `sealState` made with the same device key. Throws SealedStateError. */
export function openState(sealed: Uint8Array, deviceKey: DevicePrivateKey): Uint8Array {
  const state = open(sealed, stateKey(deviceKey), 'nexodus-state-v1');
  if (state === undefined) throw new SealedStateError();
  return state;
}

function stateKey(deviceKey: DevicePrivateKey): SealingKey {
  const seed = deviceKey.exportSeed();
  return new SealingKey(
    new Uint8Array(hkdfSync('sha256', seed, new Uint8Array(), 'nexodus-state-key-v1', 32)),
  );
}

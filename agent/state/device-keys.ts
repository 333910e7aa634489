import { type DevicePrivateKey, Ed25519PrivateKey } from '@nexodus/device-identity';
import { DiscoPrivateKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { z } from 'zod';

/** The private keys of a device. They are made on it and never leave it; none can be printed. */
export interface DeviceKeys {
  readonly device: DevicePrivateKey;
  readonly wireGuard: WireGuardPrivateKey;
  readonly disco: DiscoPrivateKey;
}

const keysSchema = z.strictObject({
  version: z.literal(1),
  device_key: z.string(),
  wireguard_key: z.string(),
  disco_key: z.string(),
});

/** Makes new keys. */
export function generateDeviceKeys(): DeviceKeys {
  return {
    device: Ed25519PrivateKey.generate('device'),
    wireGuard: WireGuardPrivateKey.generate(),
    disco: DiscoPrivateKey.generate(),
  };
}

/** The text that is kept on disk: plain, because it is what all the rest is sealed under. */
export function encodeDeviceKeys(keys: DeviceKeys): Uint8Array {
  const text = JSON.stringify({
    version: 1,
    device_key: keys.device.exportBase64(),
    wireguard_key: keys.wireGuard.exportBase64(),
    disco_key: keys.disco.exportBase64(),
  });
  return new Uint8Array(Buffer.from(`${text}\n`));
}

/** Reads what `encodeDeviceKeys` made; undefined for anything else. */
export function decodeDeviceKeys(bytes: Uint8Array): DeviceKeys | undefined {
  try {
    const fields = keysSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return {
      device: Ed25519PrivateKey.fromBase64(fields.device_key, 'device'),
      wireGuard: WireGuardPrivateKey.fromBase64(fields.wireguard_key),
      disco: DiscoPrivateKey.fromBase64(fields.disco_key),
    };
  } catch {
    return undefined;
  }
}

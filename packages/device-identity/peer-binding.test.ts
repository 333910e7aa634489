import { DiscoPrivateKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { describe, expect, test } from 'vitest';
import { Ed25519PrivateKey, acceptBinding, signBinding, verifyBinding } from './index.ts';
import type { BindingOffer, BindingPin, PeerBinding, PeerBindingFields } from './index.ts';
import { encodeBinding } from './peer-binding.ts';

const fill = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte);
const device = Ed25519PrivateKey.fromSeed(fill(1), 'device');
const stranger = Ed25519PrivateKey.fromSeed(fill(9), 'device');
const now = new Date(1_790_000_000_000);

const fields: PeerBindingFields = {
  deviceId: 'device-1',
  vpcId: 'vpc-1',
  wireGuardKey: WireGuardPrivateKey.fromBytes(fill(2)).publicKey,
  discoKey: DiscoPrivateKey.fromBytes(fill(3)).publicKey,
  serial: 7n,
  notAfterSeconds: 1_800_000_000,
};
const otherWireGuardKey = WireGuardPrivateKey.fromBytes(fill(4)).publicKey;

function offer(changes: Partial<PeerBindingFields> = {}, signer = device): BindingOffer {
  const binding = signBinding({ ...fields, ...changes }, signer);
  return { deviceId: 'device-1', vpcId: 'vpc-1', deviceKey: signer.publicKey, binding, now };
}

function pinOf(accepted: BindingOffer): BindingPin {
  const verdict = acceptBinding(undefined, accepted);
  if (!verdict.accepted) throw new Error(verdict.reason);
  return verdict.pin;
}

describe('a peer binding', () => {
  const binding = signBinding(fields, device);

  test('equals the vector of another implementation', () => {
    expect(Buffer.from(encodeBinding(fields)).toString('hex')).toBe(
      '00126e65786f6475732d62696e64696e672d763100086465766963652d3100057670632d31' +
        '0020ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59' +
        '00205dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22' +
        '000800000000000000070008000000006b49d200',
    );
    expect(Buffer.from(binding.signature).toString('hex')).toBe(
      '416fa92995cbea43d33826e23a5bc803d696cf13ab30c34997f7ecc904209b30' +
        '839816f61e89859b8b4348d813707c52850bac96d3c3c1600201971978854404',
    );
  });

  test('holds until its end', () => {
    const end = fields.notAfterSeconds * 1000;
    expect(verifyBinding(binding, device.publicKey, new Date(end - 1))).toEqual({ ok: true });
    expect(verifyBinding(binding, device.publicKey, new Date(end))).toEqual({
      ok: false,
      reason: 'expired',
    });
  });

  test.each<[string, Partial<PeerBinding>, string]>([
    ['another device', { deviceId: 'device-2' }, 'bad-signature'],
    ['another VPC', { vpcId: 'vpc-2' }, 'bad-signature'],
    ['characters moved between fields', { deviceId: 'device-1v', vpcId: 'pc-1' }, 'bad-signature'],
    ['another WireGuard key', { wireGuardKey: otherWireGuardKey }, 'bad-signature'],
    [
      'another disco key',
      { discoKey: DiscoPrivateKey.fromBytes(fill(4)).publicKey },
      'bad-signature',
    ],
    ['another serial', { serial: 8n }, 'bad-signature'],
    ['a later end', { notAfterSeconds: 1_900_000_000 }, 'bad-signature'],
    ['a cut signature', { signature: fill(0, 63) }, 'malformed'],
    ['a negative serial', { serial: -1n }, 'malformed'],
    ['a serial over 64 bits', { serial: 2n ** 64n }, 'malformed'],
    ['a fraction as end', { notAfterSeconds: 1.5 }, 'malformed'],
    ['no end', { notAfterSeconds: Number.POSITIVE_INFINITY }, 'malformed'],
    ['no device id', { deviceId: '' }, 'malformed'],
    ['a broken device id', { deviceId: '\ud800' }, 'malformed'],
    ['an endless VPC id', { vpcId: 'x'.repeat(70_000) }, 'malformed'],
  ])('does not hold with %s', (_name, changes, reason) => {
    expect(verifyBinding({ ...binding, ...changes }, device.publicKey, now)).toEqual({
      ok: false,
      reason,
    });
  });

  test('is not signed with a field outside its range', () => {
    expect(() => signBinding({ ...fields, serial: -1n }, device)).toThrow(RangeError);
  });
});

describe('the pin of a device', () => {
  const pinned = pinOf(offer());

  test('is made at first sight', () => {
    expect(pinned).toMatchObject({ deviceId: 'device-1', serial: 7n });
    expect(pinned.deviceKey).toEqual(device.publicKey);
  });

  test('stays for the same binding and moves on with a higher serial', () => {
    expect(acceptBinding(pinned, offer())).toEqual({ accepted: true, pin: pinned });
    const renewed = offer({ serial: 8n, wireGuardKey: otherWireGuardKey });
    expect(acceptBinding(pinned, renewed)).toMatchObject({ accepted: true, pin: { serial: 8n } });
  });

  test.each<[string, BindingOffer, string]>([
    ['a changed device key', offer({ serial: 8n }, stranger), 'changed-device-key'],
    [
      'the pinned device key with a binding signed by another',
      { ...offer({ serial: 8n }, stranger), deviceKey: device.publicKey },
      'bad-signature',
    ],
    ['a lower serial', offer({ serial: 6n }), 'lower-serial'],
    [
      'other keys under the same serial',
      offer({ wireGuardKey: otherWireGuardKey }),
      'conflicting-serial',
    ],
    ['an expired binding', offer({ serial: 8n, notAfterSeconds: 1_789_999_999 }), 'expired'],
    ['a binding for another VPC', offer({ serial: 8n, vpcId: 'vpc-2' }), 'wrong-vpc'],
    ['a binding of another device', offer({ serial: 8n, deviceId: 'device-2' }), 'wrong-device'],
    ['a pin of another device', { ...offer(), deviceId: 'device-2' }, 'wrong-device'],
  ])('refuses %s', (_name, offered, reason) => {
    expect(acceptBinding(pinned, offered)).toEqual({ accepted: false, reason });
  });

  test('is never made from an expired or badly signed binding', () => {
    const expired = offer({ notAfterSeconds: 1 });
    expect(acceptBinding(undefined, expired)).toEqual({ accepted: false, reason: 'expired' });
    const forged = { ...offer(), deviceKey: stranger.publicKey };
    expect(acceptBinding(undefined, forged)).toEqual({ accepted: false, reason: 'bad-signature' });
  });
});

import { randomBytes } from 'node:crypto';
import { GrantPayload, type SignedGrant } from '@nexodus/contracts/relay';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { fuzzRuns } from '@nexodus/fuzzing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GRANT_LABEL, signedBytes } from './signed-bytes.ts';
import { grantKeyId, proveAttachment, signGrant, verifyAttachment, verifyGrant } from './index.ts';

const key = Ed25519PrivateKey.generate('relay-grant');
const keys = new Map([[grantKeyId(key.publicKey), key.publicKey]]);
const device = Ed25519PrivateKey.generate('device');
const nowMs = 1_800_000_000_000;
const demands = { relayId: 'relay-1', keys, devices: 2, nowMs } as const;

function pair(changes: Partial<GrantPayload> = {}): GrantPayload {
  return GrantPayload.fromPartial({
    grantId: 'g',
    organizationId: 'o',
    vpcId: 'v',
    devices: ['a', 'b'].map((deviceId) => ({
      deviceId,
      devicePublicKey: Buffer.from(device.publicKey),
      wireguardPublicKey: randomBytes(32),
    })),
    relayIds: ['relay-1', 'relay-2'],
    policyRevision: 3n,
    notBeforeSeconds: BigInt(nowMs / 1_000),
    notAfterSeconds: BigInt(nowMs / 1_000 + 60),
    ...changes,
  });
}

describe('a grant', () => {
  test('holds at the relays that it names, within its time', () => {
    const grant = pair();
    expect(verifyGrant(signGrant(grant, key), demands)).toEqual({ ok: true, grant });
  });

  const [first, second] = pair().devices;
  if (first === undefined || second === undefined) throw new Error('a pair has two devices');
  test.each([
    ['at another relay', pair({ relayIds: ['relay-2'] }), 'AUDIENCE_INVALID'],
    ['after its end', pair({ notAfterSeconds: BigInt(nowMs / 1_000) }), 'GRANT_EXPIRED'],
    [
      'long before its time',
      pair({ notBeforeSeconds: BigInt(nowMs / 1_000 + 61) }),
      'GRANT_INVALID',
    ],
    ['of one device', pair({ devices: [first] }), 'GRANT_INVALID'],
    ['of a device with itself', pair({ devices: [first, first] }), 'GRANT_INVALID'],
    ['of devices the wrong way round', pair({ devices: [second, first] }), 'GRANT_INVALID'],
    [
      'with a key of another size',
      pair({ devices: [{ ...first, wireguardPublicKey: Buffer.alloc(31) }, second] }),
      'GRANT_INVALID',
    ],
  ])('%s is refused', (_case, payload, refusal) => {
    expect(verifyGrant(signGrant(payload, key), demands)).toEqual({ ok: false, refusal });
  });

  test('signed by a key that the relay does not know is refused by that reason', () => {
    const other = Ed25519PrivateKey.generate('relay-grant');
    const refusal = 'GRANT_KEY_UNKNOWN';
    expect(verifyGrant(signGrant(pair(), other), demands)).toEqual({ ok: false, refusal });
    const forged = { ...signGrant(pair(), other), keyId: grantKeyId(key.publicKey) };
    expect(verifyGrant(forged, demands)).toEqual({ ok: false, refusal: 'GRANT_INVALID' });
  });

  const signed = signGrant(pair(), key);
  /** What may arrive: anything, or a real payload with one byte changed. */
  const payloads = fc.oneof(
    fc.uint8Array({ maxLength: 5_000 }),
    fc.tuple(fc.nat(), fc.nat({ max: 255 })).map(([position, byte]) => {
      const changed = Uint8Array.from(signed.payload);
      changed[position % changed.length] = byte;
      return changed;
    }),
  );

  test('of any other bytes is refused and never thrown at the relay', () => {
    const anySignature = fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.constant(signed.signature));
    fc.assert(
      fc.property(payloads, anySignature, (payload, signature) => {
        fc.pre(!signed.payload.equals(payload));
        const offered: SignedGrant = {
          payload: Buffer.from(payload),
          keyId: signed.keyId,
          signature: Buffer.from(signature),
        };
        expect(verifyGrant(offered, demands).ok).toBe(false);
      }),
      { numRuns: fuzzRuns(300) },
    );
  });

  test('whose bytes are none, though the right key signed them, gets a verdict', () => {
    fc.assert(
      fc.property(payloads, (payload) => {
        const signature = key.sign(signedBytes(GRANT_LABEL, payload));
        const offered = {
          ...signed,
          payload: Buffer.from(payload),
          signature: Buffer.from(signature),
        };
        const verdict = verifyGrant(offered, demands);
        expect(verdict.ok ? 'GRANT_ACCEPTED' : verdict.refusal).toMatch(/^(GRANT|AUDIENCE)_/);
      }),
      { numRuns: fuzzRuns(300) },
    );
  });
});

describe('an attachment', () => {
  const statement = { relayId: 'relay-1', nonce: randomBytes(32), passPayload: randomBytes(50) };

  test('is proven for one relay, one challenge and one pass only', () => {
    const signature = proveAttachment(statement, device);
    expect(verifyAttachment(statement, device.publicKey, signature)).toBe(true);
    const others = [
      { ...statement, relayId: 'relay-2' },
      { ...statement, nonce: randomBytes(32) },
      { ...statement, passPayload: randomBytes(50) },
    ];
    for (const other of others) {
      expect(verifyAttachment(other, device.publicKey, signature)).toBe(false);
    }
  });
});

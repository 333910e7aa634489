import { GrantPayload, type SignedGrant } from '@nexodus/contracts/relay';
import {
  type Ed25519PublicKey,
  InvalidSigningKeyError,
  parseDevicePublicKey,
  verifyEd25519,
} from '@nexodus/device-identity';
import { GRANT_LABEL, signedBytes } from './signed-bytes.ts';

/** What a relay demands of a grant. */
export interface GrantDemands {
  /** Name of the relay that is asked. */
  readonly relayId: string;
  /** Keys that the control plane signs with, by key id. */
  readonly keys: ReadonlyMap<string, Ed25519PublicKey<'relay-grant'>>;
  /** 1 for a pass, 2 for a pair. */
  readonly devices: 1 | 2;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** Why a grant is refused: the reasons of relay.session.v1 SessionService. */
export type GrantRefusal =
  | 'GRANT_INVALID'
  | 'GRANT_KEY_UNKNOWN'
  | 'GRANT_EXPIRED'
  | 'AUDIENCE_INVALID';

/** A grant that holds, or why it does not. */
export type GrantVerdict =
  | { readonly ok: true; readonly grant: GrantPayload }
  | { readonly ok: false; readonly refusal: GrantRefusal };

/** Largest payload that is looked at: two devices, eight relays and their names need less than half of it. */
const MAX_PAYLOAD_BYTES = 4_096;

/** Clocks of relays and of the control plane may differ by this. */
const CLOCK_LEEWAY_MS = 60_000;

const KEY_BYTES = 32;

/** Checks a grant from outside; the signature before anything that it says. Never throws. */
export function verifyGrant(signed: SignedGrant, demands: GrantDemands): GrantVerdict {
  const key = demands.keys.get(signed.keyId);
  if (key === undefined) return refused('GRANT_KEY_UNKNOWN');
  if (signed.payload.length > MAX_PAYLOAD_BYTES) return refused('GRANT_INVALID');
  const message = signedBytes(GRANT_LABEL, signed.payload);
  if (!verifyEd25519(key, message, signed.signature)) return refused('GRANT_INVALID');
  const grant = readPayload(signed.payload);
  if (grant === undefined || !isWellFormed(grant, demands.devices)) return refused('GRANT_INVALID');
  if (!grant.relayIds.includes(demands.relayId)) return refused('AUDIENCE_INVALID');
  const isEarly = Number(grant.notBeforeSeconds) * 1_000 > demands.nowMs + CLOCK_LEEWAY_MS;
  if (isEarly) return refused('GRANT_INVALID');
  if (Number(grant.notAfterSeconds) * 1_000 <= demands.nowMs) return refused('GRANT_EXPIRED');
  return { ok: true, grant };
}

function refused(refusal: GrantRefusal): GrantVerdict {
  return { ok: false, refusal };
}

function readPayload(bytes: Uint8Array): GrantPayload | undefined {
  try {
    return GrantPayload.decode(bytes);
  } catch {
    return undefined;
  }
}

function isWellFormed({ devices, grantId, vpcId }: GrantPayload, count: number): boolean {
  const [first, second] = devices;
  if (grantId === '' || vpcId === '' || devices.length !== count || first === undefined)
    return false;
  if (second !== undefined && first.deviceId >= second.deviceId) return false;
  return devices.every(
    ({ devicePublicKey, wireguardPublicKey }) =>
      isDeviceKey(devicePublicKey) && wireguardPublicKey.length === KEY_BYTES,
  );
}

function isDeviceKey(bytes: Uint8Array): boolean {
  try {
    parseDevicePublicKey(bytes);
    return true;
  } catch (error) {
    if (error instanceof InvalidSigningKeyError) return false;
    throw error;
  }
}

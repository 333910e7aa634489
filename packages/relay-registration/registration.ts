/**
 * The registration, device to relay, 56 bytes, numbers in network order:
 *
 *     0  magic f5574d31
 *     4  type 0x10
 *     5  bit 0: side of the session; bits 1-2: family of the observed address (0 none, 1 IPv4, 2 IPv6); rest zero
 *     6  port of the observed address; 0 for none
 *     8  session id, 8 bytes
 *    16  timestamp, 8 bytes: larger than in every registration of this side before
 *    24  observed address: where the relay's last answer said the device is, 16 bytes; zero for none
 *    40  the first 16 bytes of HMAC-SHA256 over the 40 bytes before, under the key of this side of the session
 *
 * It locks a side to the address it came from only when the observed address is that address: whoever captured a
 * registration and sends it from elsewhere gains nothing.
 */
import { timingSafeEqual } from 'node:crypto';
import { datagramType, hasHeader, writeHeader } from './datagram-magic.ts';
import { familyCode, type ObservedAddress, readAddress, writeAddress } from './observed-address.ts';
import type { RelayRegistrationKey } from './relay-registration-key.ts';

/** Length of a registration. */
export const REGISTRATION_BYTES = 56;
/** Length of its authentication code. */
export const REGISTRATION_MAC_BYTES = 16;
const MAC_OFFSET = REGISTRATION_BYTES - REGISTRATION_MAC_BYTES;

/** The two ends of a session. Which device is which the relay says when it opens the session. */
export type SessionSide = 0 | 1;

/** What a device says in a registration. */
export interface Registration {
  /** 0 to 2^64 - 1. */
  readonly sessionId: bigint;
  readonly side: SessionSide;
  /** 0 to 2^64 - 1; larger than in every registration of this side before. Any unit. */
  readonly timestamp: bigint;
  /** Where the relay's last answer said that the device is; undefined before the first answer. */
  readonly observed: ObservedAddress | undefined;
}

/** The bytes of a registration. */
export function encodeRegistration(
  { sessionId, side, timestamp, observed }: Registration,
  key: RelayRegistrationKey,
): Uint8Array {
  const bytes = new Uint8Array(REGISTRATION_BYTES);
  const view = new DataView(bytes.buffer);
  writeHeader(view, datagramType.registration);
  view.setUint8(5, side | (familyCode(observed) << 1));
  view.setUint16(6, observed?.port ?? 0);
  view.setBigUint64(8, sessionId);
  view.setBigUint64(16, timestamp);
  writeAddress(bytes, 24, observed);
  bytes.set(key.authenticate(REGISTRATION_MAC_BYTES, bytes.subarray(0, MAC_OFFSET)), MAC_OFFSET);
  return bytes;
}

/** Whether a datagram has the magic, type and length of a registration. Says nothing about its authenticity. */
export function isRegistration(bytes: Uint8Array): boolean {
  return hasHeader(bytes, datagramType.registration, REGISTRATION_BYTES);
}

/** The session that a registration names, before its authenticity is known: a cheap test before the costly one. */
export function registrationSessionId(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(8);
}

/** Reads a registration under the key of its side; undefined for everything that is not an authentic one. Never throws. */
export function openRegistration(
  bytes: Uint8Array,
  key: RelayRegistrationKey,
): Registration | undefined {
  if (!isRegistration(bytes)) return undefined;
  const expected = key.authenticate(REGISTRATION_MAC_BYTES, bytes.subarray(0, MAC_OFFSET));
  if (!timingSafeEqual(expected, bytes.subarray(MAC_OFFSET))) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint8(5);
  if (flags >> 3 !== 0) return undefined;
  const observed = readAddress(bytes, 24, { family: flags >> 1, port: view.getUint16(6) });
  if (observed === 'invalid') return undefined;
  return {
    sessionId: view.getBigUint64(8),
    side: (flags & 1) === 0 ? 0 : 1,
    timestamp: view.getBigUint64(16),
    observed: observed === 'none' ? undefined : observed,
  };
}

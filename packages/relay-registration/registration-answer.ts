/**
 * The relay's answer to a registration, 31 bytes: shorter than the smallest WireGuard message, so that no receiver's
 * offload joins a WireGuard message to it, and shorter than what it answers.
 *
 *     0  magic f5574d31
 *     4  type 0x11
 *     5  bit 0: the side is locked to this address; bits 1-2: family of the observed address (1 IPv4, 2 IPv6); rest zero
 *     6  port from which the registration came
 *     8  address from which it came, 16 bytes
 *    24  the first 7 bytes of HMAC-SHA256 over the 24 bytes before and the 16 of the registration's own code, under
 *        the key of this side of the session
 *
 * The short code is bound to one registration, which the relay answers once for each address: a forger off the path
 * has a chance of 2^-56 for each datagram.
 */
import { timingSafeEqual } from 'node:crypto';
import { datagramType, hasHeader, writeHeader } from './datagram-magic.ts';
import { familyCode, type ObservedAddress, readAddress, writeAddress } from './observed-address.ts';
import { REGISTRATION_BYTES, REGISTRATION_MAC_BYTES } from './registration.ts';
import type { RelayRegistrationKey } from './relay-registration-key.ts';

/** Length of an answer. */
export const REGISTRATION_ANSWER_BYTES = 31;
const MAC_OFFSET = 24;

/** What the relay says to a device. */
export interface RegistrationAnswer {
  /** Where the relay saw the device: its reflexive address. */
  readonly observed: ObservedAddress;
  /** Whether the relay now sends to that address. If not, the device registers again and names it. */
  readonly isLocked: boolean;
}

/** The bytes of the answer to a registration. */
export function encodeRegistrationAnswer(
  { observed, isLocked }: RegistrationAnswer,
  registration: Uint8Array,
  key: RelayRegistrationKey,
): Uint8Array {
  const bytes = new Uint8Array(REGISTRATION_ANSWER_BYTES);
  const view = new DataView(bytes.buffer);
  writeHeader(view, datagramType.registrationAnswer);
  view.setUint8(5, Number(isLocked) | (familyCode(observed) << 1));
  view.setUint16(6, observed.port);
  writeAddress(bytes, 8, observed);
  bytes.set(answerMac(bytes, registration, key), MAC_OFFSET);
  return bytes;
}

/** Whether a datagram has the magic, type and length of an answer. Says nothing about its authenticity. */
export function isRegistrationAnswer(bytes: Uint8Array): boolean {
  return hasHeader(bytes, datagramType.registrationAnswer, REGISTRATION_ANSWER_BYTES);
}

/**
 * Reads the answer to a registration that this device sent; undefined for everything that is not an authentic answer to
 * it. Never throws.
 */
export function openRegistrationAnswer(
  bytes: Uint8Array,
  registration: Uint8Array,
  key: RelayRegistrationKey,
): RegistrationAnswer | undefined {
  if (!isRegistrationAnswer(bytes)) return undefined;
  const expected = answerMac(bytes, registration, key);
  if (!timingSafeEqual(expected, bytes.subarray(MAC_OFFSET))) return undefined;
  const [flags = 0, high = 0, low = 0] = bytes.subarray(5, 8);
  const observed = readAddress(bytes, 8, { family: flags >> 1, port: high * 256 + low });
  if (observed === 'none' || observed === 'invalid') return undefined;
  return { observed, isLocked: (flags & 1) === 1 };
}

function answerMac(
  answer: Uint8Array,
  registration: Uint8Array,
  key: RelayRegistrationKey,
): Uint8Array {
  const code = registration.subarray(REGISTRATION_BYTES - REGISTRATION_MAC_BYTES);
  const length = REGISTRATION_ANSWER_BYTES - MAC_OFFSET;
  return key.authenticate(length, answer.subarray(0, MAC_OFFSET), code);
}

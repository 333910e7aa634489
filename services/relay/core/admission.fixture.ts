/** Devices, strangers and a session for the tests of admission; the hash behind mac1 is a stand-in that tests can forge. */
import { parseIpAddress } from '@nexodus/netip';
import {
  encodeRegistration,
  type ObservedAddress,
  type Registration,
  RelayRegistrationKey,
  type SessionSide,
} from '@nexodus/relay-registration';
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
} from '@nexodus/socket-address';
import { Admission } from './admission.ts';
import { defaultAdmissionLimits } from './admission-limits.ts';
import type { Source } from './source.ts';
import type { Verdict } from './verdict.ts';

export const SESSION_ID = 77n;

/** A raw socket address from "192.0.2.1:7" or "[2001:db8::1]:7". */
export function sourceOf(text: string): Source {
  const at = text.lastIndexOf(':');
  const address = parseIpAddress(text.slice(0, at).replaceAll(/[[\]]/g, ''));
  const raw = new Uint8Array(SOCKET_ADDRESS_BYTES);
  encodeSocketAddress(raw, 0, { address, port: Number(text.slice(at + 1)) });
  return raw;
}

/** Where a raw socket address is. */
export function observedAt(source: Source): ObservedAddress {
  return decodeSocketAddress(source, 0);
}

/** Keys by side. */
export const registrationKeys = [0, 1].map((side) =>
  RelayRegistrationKey.fromBytes(new Uint8Array(32).fill(side + 1)),
) as [RelayRegistrationKey, RelayRegistrationKey];

/** A message with its indexes; `to` is the side whose key its mac1 is made of. */
function message(type: number, length: number, fields: readonly [number, number][]): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = type;
  for (const [offset, value] of fields) new DataView(bytes.buffer).setUint32(offset, value, true);
  return bytes;
}

function withMac1(bytes: Uint8Array, to: SessionSide): Uint8Array {
  bytes[bytes.length - 32] = 0xa0 + to;
  return bytes;
}

/** What a device at `from` sends to the other side. */
export const messages = {
  initiation: (from: SessionSide, index: number): Uint8Array =>
    withMac1(message(1, 148, [[4, index]]), from === 0 ? 1 : 0),
  response: (from: SessionSide, index: number, answered: number): Uint8Array =>
    withMac1(
      message(2, 92, [
        [4, index],
        [8, answered],
      ]),
      from === 0 ? 1 : 0,
    ),
  cookieReply: (answered: number): Uint8Array => message(3, 64, [[4, answered]]),
  data: (index: number, length = 32): Uint8Array => message(4, length, [[4, index]]),
  registration: (said: Partial<Registration> & { side: SessionSide; timestamp: bigint }) =>
    encodeRegistration(
      { sessionId: SESSION_ID, observed: undefined, ...said },
      registrationKeys[said.side],
    ),
};

/** A fresh session, and a short way to let a datagram arrive. */
export function openAdmission(): {
  readonly admission: Admission;
  readonly arrive: (
    side: SessionSide,
    source: Source,
    bytes: Uint8Array,
    nowMs?: number,
  ) => Verdict;
} {
  const admission = new Admission({
    sessionId: SESSION_ID,
    devices: [
      { mac1State: Uint8Array.of(0xa0), registrationKey: registrationKeys[0] },
      { mac1State: Uint8Array.of(0xa1), registrationKey: registrationKeys[1] },
    ],
    verifyMac1: ([expected], { bytes, offset, length }) => bytes[offset + length - 32] === expected,
    limits: defaultAdmissionLimits,
  });
  return {
    admission,
    arrive: (side, source, bytes, nowMs = 0) =>
      admission.admit(
        { side, source: { bytes: source, offset: 0 }, bytes, offset: 0, length: bytes.length },
        nowMs,
      ),
  };
}

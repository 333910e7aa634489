/**
 * The direct messages of a pair. They travel between the UDP ports of WireGuard, numbers in network order:
 *
 *     0  magic f5574d31 (packages/relay-registration)
 *     4  type: 0x20 ping, 0x21 pong
 *     5  tag of sender and pair
 *     9  transaction, 8 bytes
 *    17  the first 14 bytes of HMAC-SHA256 over the 17 bytes before
 *
 *     4  type: 0x22 padded ping, 0x23 padded pong
 *    17  length of the padded ping, 2 bytes
 *    19  the first 12 bytes of HMAC-SHA256 over the 19 bytes before
 *    31  padded ping only: zero up to that length
 *
 * The code's key is that of the direction. 31 bytes are less than every WireGuard message, so that no receiver's offload
 * joins one to a probe. A padded ping is longer on purpose, and is sent while the path carries no data.
 */
import { DATAGRAM_MAGIC } from '@nexodus/relay-registration';
import type { IpFamily } from '@nexodus/netip';
import type { ProbePair } from './probe-pair.ts';

/** Length of every probe but a padded ping, which is as long or longer. */
export const PROBE_BYTES = 31;

/** Header of IPv4 without options (RFC 791), of IPv6 (RFC 8200) and of UDP (RFC 768). */
const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;
const UDP_HEADER_BYTES = 8;

/** What the length field of UDP leaves room for. */
const MAX_DATAGRAM_BYTES = 0xffff - UDP_HEADER_BYTES;

/** What a device says to a peer on a path. A pong answers the ping with its transaction. */
export type Probe =
  | { readonly kind: 'ping' | 'pong'; readonly transaction: bigint }
  | {
      readonly kind: 'padded-ping' | 'padded-pong';
      readonly transaction: bigint;
      /** Length of the padded ping as a UDP payload: as sent in the ping, as arrived in the pong. */
      readonly datagramBytes: number;
    };

/** The fifth byte of each. 0x24 to 0x2f are kept for later probes. */
export const probeTypes: Readonly<Record<Probe['kind'], number>> = {
  ping: 0x20,
  pong: 0x21,
  'padded-ping': 0x22,
  'padded-pong': 0x23,
};

/** Where fields begin. */
export const probeOffset = { type: 4, tag: 5, transaction: 9, mac: 17, length: 17 } as const;

/** Where the code of a message with a length begins. */
export const PADDED_MAC_OFFSET = 19;

/** Length of the datagram that makes an IP packet of `packetBytes`, without options or extension headers. */
export function datagramBytesOf(packetBytes: number, family: IpFamily): number {
  const ip = family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  return packetBytes - ip - UDP_HEADER_BYTES;
}

/**
 * The bytes of a probe for the pair's peer. `transaction` is 0 to 2^64 - 1; a ping's must not be guessable.
 *
 * @throws {RangeError} for a length below 31 or above 65,527
 */
export function encodeProbe(probe: Probe, { outgoing }: ProbePair): Uint8Array {
  const isPadded = 'datagramBytes' in probe;
  if (isPadded && !isPaddedLength(probe.datagramBytes)) {
    throw new RangeError(`a padded ping is ${PROBE_BYTES} to ${MAX_DATAGRAM_BYTES} bytes`);
  }
  const size = probe.kind === 'padded-ping' ? probe.datagramBytes : PROBE_BYTES;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, DATAGRAM_MAGIC);
  view.setUint8(probeOffset.type, probeTypes[probe.kind]);
  view.setUint32(probeOffset.tag, outgoing.tag);
  view.setBigUint64(probeOffset.transaction, probe.transaction);
  if (isPadded) view.setUint16(probeOffset.length, probe.datagramBytes);
  const offset = isPadded ? PADDED_MAC_OFFSET : probeOffset.mac;
  bytes.set(outgoing.authenticate(PROBE_BYTES - offset, bytes.subarray(0, offset)), offset);
  return bytes;
}

/** Whether a padded ping may be so long. */
export function isPaddedLength(bytes: number): boolean {
  return Number.isInteger(bytes) && bytes >= PROBE_BYTES && bytes <= MAX_DATAGRAM_BYTES;
}

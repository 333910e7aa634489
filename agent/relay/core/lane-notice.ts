/**
 * What a device tells a peer over the TLS lane: whether it can be reached there only. The peer cannot see it otherwise, and
 * its own datagrams would go to a side that hears none.
 *
 *     0  magic f5574d31 (packages/relay-registration)
 *     4  type 0x12
 *     5  1: over TLS only; 0: datagrams work
 *
 * Nobody but the relay vouches for it. A relay that lies can make a pair take the slower lane, and could as well drop its
 * packets.
 */
import { DATAGRAM_MAGIC } from '@nexodus/relay-registration';

const TYPE = 0x12;
const NOTICE_BYTES = 6;
const OF_OURS_BYTES = 4;

/** The bytes of a notice. */
export function encodeLaneNotice(needsTls: boolean): Uint8Array {
  const bytes = new Uint8Array(NOTICE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, DATAGRAM_MAGIC);
  view.setUint8(4, TYPE);
  view.setUint8(5, Number(needsTls));
  return bytes;
}

/** Whether a datagram is one of ours and thus none of WireGuard's: it is not passed on. */
export function isOfOurs(bytes: Uint8Array): boolean {
  if (bytes.length < OF_OURS_BYTES) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(0) === DATAGRAM_MAGIC;
}

/** What a notice says; undefined for everything else. Never throws. */
export function readLaneNotice(bytes: Uint8Array): { readonly needsTls: boolean } | undefined {
  const isNotice = bytes.length === NOTICE_BYTES && isOfOurs(bytes) && bytes[4] === TYPE;
  const [flag = 2] = bytes.subarray(5, NOTICE_BYTES);
  return isNotice && flag <= 1 ? { needsTls: flag === 1 } : undefined;
}

/**
 * Raw socket addresses as the kernel writes them: `sockaddr_in` (16 bytes) and `sockaddr_in6` (28 bytes), ip(7) and
 * ipv6(7), on a little-endian machine. Every adapter uses this layout, on any system, so that programs compare and store
 * bytes without decoding them.
 *
 *     0  family, 2 bytes little endian: 2 (IPv4) or 10 (IPv6)
 *     2  port, 2 bytes big endian
 *     4  IPv4: address, 4 bytes, then 8 zero bytes
 *     4  IPv6: flow information, 4 bytes, 0; address, 16 bytes; scope (interface index), 4 bytes
 */
import { type IpAddress, ipAddressFromBytes, ipAddressToBytes } from '@nexodus/netip';

/** Distance of raw socket addresses in an array of them. The larger form takes 28 bytes. */
export const SOCKET_ADDRESS_BYTES = 32;

/** AF_INET. */
const FAMILY_IPV4 = 2;
/** AF_INET6 of Linux. */
const FAMILY_IPV6 = 10;
const IPV4_BYTES = 16;
const IPV6_BYTES = 28;

/** Bytes that are no raw socket address. */
export class SocketAddressFormatError extends Error {
  override readonly name = 'SocketAddressFormatError';
}

/** Number of bytes the raw socket address at `offset` has in use: 16 or 28; 0 where its family is unknown. */
export function socketAddressLength(bytes: Uint8Array, offset: number): number {
  if (bytes[offset + 1] !== 0) return 0;
  const family = bytes[offset];
  if (family === FAMILY_IPV4) return IPV4_BYTES;
  return family === FAMILY_IPV6 ? IPV6_BYTES : 0;
}

/** Writes an address and port at `offset`; 28 bytes of `target` from there are overwritten. The scope is that of none. */
export function encodeSocketAddress(
  target: Uint8Array,
  offset: number,
  { address, port }: { readonly address: IpAddress; readonly port: number },
): void {
  target.fill(0, offset, offset + IPV6_BYTES);
  target[offset] = address.family === 4 ? FAMILY_IPV4 : FAMILY_IPV6;
  target[offset + 2] = port >> 8;
  target[offset + 3] = port & 0xff;
  target.set(ipAddressToBytes(address), offset + (address.family === 4 ? 4 : 8));
}

/**
 * Reads the address and port at `offset`, without the scope.
 *
 * @throws {SocketAddressFormatError} for bytes of another family or too few
 */
export function decodeSocketAddress(
  bytes: Uint8Array,
  offset: number,
): { readonly address: IpAddress; readonly port: number } {
  const length = socketAddressLength(bytes, offset);
  if (length === 0 || offset + length > bytes.length) {
    throw new SocketAddressFormatError('not a socket address of IPv4 or IPv6');
  }
  const [start, end] = length === IPV4_BYTES ? [4, 8] : [8, 24];
  return {
    address: ipAddressFromBytes(bytes.subarray(offset + start, offset + end)),
    port: (bytes[offset + 2] ?? 0) * 256 + (bytes[offset + 3] ?? 0),
  };
}

/** Whether two raw socket addresses are the same address, port and scope. Not for secrets: time depends on content. */
export function socketAddressesEqual(
  a: Uint8Array,
  aOffset: number,
  b: Uint8Array,
  bOffset: number,
): boolean {
  const length = socketAddressLength(a, aOffset);
  if (length === 0) return false;
  for (let index = 0; index < length; index += 1) {
    if (a[aOffset + index] !== b[bOffset + index]) return false;
  }
  return true;
}

import { type IpAddress, ipAddressFromBytes, ipAddressToBytes } from '@nexodus/netip';

/** An address and port as the relay saw them. */
export interface ObservedAddress {
  readonly address: IpAddress;
  readonly port: number;
}

/** Room that an address of either family takes. */
const ADDRESS_BYTES = 16;

/** What the family bits of a datagram say. */
const FAMILY_CODES = { none: 0, ipv4: 1, ipv6: 2 } as const;

/** The bits for a family, or for no address. */
export function familyCode(observed: ObservedAddress | undefined): number {
  if (observed === undefined) return FAMILY_CODES.none;
  return observed.address.family === 4 ? FAMILY_CODES.ipv4 : FAMILY_CODES.ipv6;
}

/** Writes an address in 16 bytes: an IPv4 one takes the first four, the rest is zero; none is all zero. */
export function writeAddress(
  target: Uint8Array,
  offset: number,
  observed: ObservedAddress | undefined,
): void {
  if (observed !== undefined) target.set(ipAddressToBytes(observed.address), offset);
}

/** What a datagram says about an address: one, none, or nothing that is allowed. */
export function readAddress(
  bytes: Uint8Array,
  offset: number,
  { family, port }: { readonly family: number; readonly port: number },
): ObservedAddress | 'none' | 'invalid' {
  const used = [0, 4, 16][family];
  if (used === undefined) return 'invalid';
  const field = bytes.subarray(offset, offset + ADDRESS_BYTES);
  if (field.subarray(used).some((byte) => byte !== 0)) return 'invalid';
  if (used === 0) return port === 0 ? 'none' : 'invalid';
  return { address: ipAddressFromBytes(field.subarray(0, used)), port };
}

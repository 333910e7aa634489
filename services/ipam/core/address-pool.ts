import {
  type IpAddress,
  type IpFamily,
  type IpPrefix,
  type Ipv4Address,
  type Ipv4Prefix,
  type Ipv6Address,
  type Ipv6Prefix,
  lastAddress,
  nthAddress,
  prefixContains,
  prefixSize,
} from '@nexodus/netip';
import type { PoolId } from './ids.ts';

/** One address of each family. */
export interface AddressPair {
  readonly ipv4: Ipv4Address;
  readonly ipv6: Ipv6Address;
}

/** The address space of a VPC. */
export interface AddressPool {
  readonly id: PoolId;
  readonly ipv4Prefix: Ipv4Prefix;
  readonly ipv6Prefix: Ipv6Prefix;
}

/** The addresses of a prefix that can be given, both ends included. */
export interface UsableRange<F extends IpFamily> {
  readonly first: IpAddress<F>;
  readonly last: IpAddress<F>;
}

/**
 * The addresses of a prefix that can be given: not the network and broadcast addresses of IPv4 (RFC 1122 section
 * 3.2.1.3), not the Subnet-Router anycast address of IPv6 (RFC 4291 section 2.6.1).
 */
export function usableRange<F extends IpFamily>(prefix: IpPrefix<F>): UsableRange<F> {
  const last = lastAddress(prefix);
  return {
    first: nthAddress(prefix, 1n),
    last: prefix.address.family === 4 ? nthAddress(prefix, prefixSize(prefix) - 2n) : last,
  };
}

/** How many addresses of a prefix can be given. */
export function usableCount(prefix: IpPrefix): bigint {
  const { first, last } = usableRange(prefix);
  return last.value - first.value + 1n;
}

/** Whether an address is one that the prefix can give. */
export function isUsable(prefix: IpPrefix, address: IpAddress): boolean {
  const { first, last } = usableRange(prefix);
  return (
    prefixContains(prefix, address) && address.value >= first.value && address.value <= last.value
  );
}

/** Whether an address is of the family. */
export function isAddressOf<F extends IpFamily>(
  address: IpAddress,
  family: F,
): address is IpAddress<F> {
  return address.family === family;
}

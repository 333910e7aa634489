import {
  addressKind,
  formatIpPrefix,
  InvalidAddressError,
  type IpAddress,
  type IpFamily,
  type IpPrefix,
  type Ipv4Address,
  type Ipv4Prefix,
  type Ipv6Address,
  type Ipv6Prefix,
  lastAddress,
  nthAddress,
  parseIpPrefix,
  prefixContains,
  prefixContainsPrefix,
  prefixesOverlap,
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

/** Shortest and longest prefix lengths: at least 6 IPv4 and 255 IPv6 addresses to give. */
const longestLength = { 4: 29, 6: 120 } as const;

/** What an IPv6 prefix must lie in: global unicast (RFC 4291 section 2.4) or unique local (RFC 4193). */
const unicastIpv6 = [parseIpPrefix('2000::/3'), parseIpPrefix('fc00::/7')];

/**
 * What an IPv4 prefix may have nothing of: "this network" (RFC 1122), loopback, link-local (RFC 3927), and everything
 * from multicast upwards (RFC 5771, RFC 1112 section 4).
 */
const notUnicastIpv4 = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'].map((text) =>
  parseIpPrefix(text),
);

/**
 * Reads the prefix of a pool: canonical, unicast, large enough.
 *
 * @returns the prefix, or what is wrong with it in words fit for the caller
 */
export function parsePoolPrefix<F extends IpFamily>(
  family: F,
  text: string,
): { prefix: IpPrefix<F> } | { problem: string } {
  const prefix = readPrefix(text);
  if (typeof prefix === 'string') return { problem: prefix };
  if (!isPrefixOf(prefix, family)) return { problem: `must be an IPv${family} prefix` };
  const longest = longestLength[family];
  if (prefix.length > longest) return { problem: `must be /${longest} or shorter` };
  if (!isUnicast(prefix)) {
    return { problem: `has addresses that are not unicast (${addressKind(prefix.address)})` };
  }
  return { prefix };
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

/** Whether a prefix is of the family. */
export function isPrefixOf<F extends IpFamily>(prefix: IpPrefix, family: F): prefix is IpPrefix<F> {
  return prefix.address.family === family;
}

function readPrefix(text: string): IpPrefix | string {
  try {
    const prefix = parseIpPrefix(text);
    const canonical = formatIpPrefix(prefix);
    return canonical === text ? prefix : `is not canonical; write ${canonical}`;
  } catch (error) {
    if (error instanceof InvalidAddressError) return error.message;
    throw error;
  }
}

function isUnicast(prefix: IpPrefix): boolean {
  return prefix.address.family === 4
    ? !notUnicastIpv4.some((other) => prefixesOverlap(other, prefix))
    : unicastIpv6.some((space) => prefixContainsPrefix(space, prefix));
}

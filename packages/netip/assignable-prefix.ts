import { addressKind } from './address-kind.ts';
import { InvalidAddressError } from './invalid-address-error.ts';
import type { IpFamily } from './ip-address.ts';
import {
  formatIpPrefix,
  parseIpPrefix,
  prefixContainsPrefix,
  prefixesOverlap,
} from './ip-prefix.ts';
import type { IpPrefix } from './ip-prefix.ts';

/** Longest prefixes that still hold a useful number of addresses: 6 of IPv4, 255 of IPv6. */
const LONGEST = { 4: 29, 6: 120 } as const;

/** What an IPv6 prefix must lie in: global unicast (RFC 4291 section 2.4) or unique local (RFC 4193). */
const UNICAST_IPV6 = [parseIpPrefix('2000::/3'), parseIpPrefix('fc00::/7')];

/**
 * What an IPv4 prefix may have nothing of: "this network" (RFC 1122), loopback, link-local
 * (RFC 3927), and everything from multicast upwards (RFC 5771, RFC 1112 section 4).
 */
const NOT_UNICAST_IPV4 = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'].map((text) =>
  parseIpPrefix(text),
);

/**
 * Reads a prefix whose addresses can be given to machines: canonical, unicast from end to end,
 * large enough. Returns the prefix, or what is wrong with it in words fit for who wrote it.
 */
export function parseAssignablePrefix<F extends IpFamily>(
  family: F,
  text: string,
): { prefix: IpPrefix<F> } | { problem: string } {
  const prefix = readPrefix(text);
  if (typeof prefix === 'string') return { problem: prefix };
  if (!isPrefixOf(prefix, family)) return { problem: `must be an IPv${family} prefix` };
  const longest = LONGEST[family];
  if (prefix.length > longest) return { problem: `must be /${longest} or shorter` };
  if (!isUnicast(prefix)) {
    return { problem: `has addresses that are not unicast (${addressKind(prefix.address)})` };
  }
  return { prefix };
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
    ? !NOT_UNICAST_IPV4.some((other) => prefixesOverlap(other, prefix))
    : UNICAST_IPV6.some((space) => prefixContainsPrefix(space, prefix));
}

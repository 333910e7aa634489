import {
  hostPrefix,
  InvalidAddressError,
  type IpAddress,
  type IpPrefix,
  parseIpAddress,
  parseIpPrefix,
  prefixContains,
  prefixOf,
} from '@nexodus/netip';

/** The prefix of a VPC that chose none, IPv4. */
const DEFAULT_IPV4 = parseIpPrefix('100.64.0.0/10');

/** Every VPC has so much IPv6 of its own. */
const IPV6_BITS = 64;

/**
 * The VPC's prefixes as far as its device can tell by its own tunnel addresses: the /64 around the IPv6 address; the default
 * IPv4 prefix where the IPv4 address is of it, else that address alone. What is no address is left out. Never throws.
 */
export function guessVpcPrefixes(tunnelAddresses: readonly string[]): readonly IpPrefix[] {
  return tunnelAddresses.flatMap((text) => readAddress(text)).map(prefixAround);
}

function prefixAround(address: IpAddress): IpPrefix {
  if (address.family === 6) return prefixOf(address, IPV6_BITS);
  return prefixContains(DEFAULT_IPV4, address) ? DEFAULT_IPV4 : hostPrefix(address);
}

function readAddress(text: string): IpAddress[] {
  try {
    return [parseIpAddress(text.replace(/\/.*$/, ''))];
  } catch (error) {
    if (error instanceof InvalidAddressError) return [];
    throw error;
  }
}

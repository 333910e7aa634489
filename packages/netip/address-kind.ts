import { unmapIpv4 } from './ip-address.ts';
import type { IpAddress } from './ip-address.ts';
import { parseIpPrefix, prefixContains } from './ip-prefix.ts';

/**
 * What kind of address it is. `carrier-nat`: the shared space 100.64.0.0/10, used by carriers and,
 * by default, by VPCs; `private`: RFC 1918; `unique-local`: RFC 4193; `this-network`: 0.0.0.0/8
 * but 0.0.0.0; `reserved`: 240.0.0.0/4 but broadcast; `global`: everything else.
 */
export type AddressKind =
  | 'unspecified'
  | 'this-network'
  | 'loopback'
  | 'link-local'
  | 'multicast'
  | 'broadcast'
  | 'private'
  | 'carrier-nat'
  | 'unique-local'
  | 'reserved'
  | 'global';

/** The first prefix that contains an address names its kind. */
const KINDS = (
  [
    ['0.0.0.0/32', 'unspecified'], // RFC 1122 section 3.2.1.3
    ['0.0.0.0/8', 'this-network'], // RFC 1122 section 3.2.1.3
    ['127.0.0.0/8', 'loopback'], // RFC 1122 section 3.2.1.3
    ['169.254.0.0/16', 'link-local'], // RFC 3927
    ['224.0.0.0/4', 'multicast'], // RFC 5771
    ['255.255.255.255/32', 'broadcast'], // RFC 919
    ['240.0.0.0/4', 'reserved'], // RFC 1112 section 4
    ['10.0.0.0/8', 'private'], // RFC 1918
    ['172.16.0.0/12', 'private'], // RFC 1918
    ['192.168.0.0/16', 'private'], // RFC 1918
    ['100.64.0.0/10', 'carrier-nat'], // RFC 6598
    ['::/128', 'unspecified'], // RFC 4291 section 2.5.2
    ['::1/128', 'loopback'], // RFC 4291 section 2.5.3
    ['fe80::/10', 'link-local'], // RFC 4291 section 2.5.6
    ['ff00::/8', 'multicast'], // RFC 4291 section 2.7
    ['fc00::/7', 'unique-local'], // RFC 4193
  ] as const
).map(([prefix, kind]) => ({ prefix: parseIpPrefix(prefix), kind }));

/** Classifies an address; an IPv4-mapped IPv6 address counts as the IPv4 address in it. */
export function addressKind(address: IpAddress): AddressKind {
  const plain = unmapIpv4(address);
  return KINDS.find(({ prefix }) => prefixContains(prefix, plain))?.kind ?? 'global';
}

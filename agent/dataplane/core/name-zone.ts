import { cidrAddress, cidrBytes, canonicalCidr, isHostCidr, isIpv6Cidr } from './cidr.ts';

/** A machine that shall have a name. */
export interface NamedHost {
  /** RFC 1123 label, unique in the VPC. */
  readonly hostname: string;
  /** Its tunnel addresses. */
  readonly addresses: readonly string[];
}

/** The names of one VPC, made for answering. */
export interface NameZone {
  /** `VPC.nexodus`, lower case. */
  readonly domain: string;
  /** Addresses by full lower-case name. */
  readonly hosts: ReadonlyMap<
    string,
    { readonly v4: readonly string[]; readonly v6: readonly string[] }
  >;
  /** Full names by reverse name (`4.3.2.1.in-addr.arpa`, RFC 1035 section 3.5; `ip6.arpa`, RFC 3596 section 2.5). */
  readonly pointers: ReadonlyMap<string, string>;
}

/** The top-level label under which every VPC's names lie. */
export const NAMES_TOP_LEVEL = 'nexodus';

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Makes the zone of a VPC. What is no label or no address is left out: a name that DNS cannot carry must not keep the
 * other ones from being answered. A VPC whose name is no label gets no zone (null).
 */
export function createNameZone(vpcName: string, hosts: readonly NamedHost[]): NameZone | null {
  const vpc = vpcName.toLowerCase();
  if (!LABEL.test(vpc)) return null;
  const domain = `${vpc}.${NAMES_TOP_LEVEL}`;
  const named = hosts
    .map((host) => ({ ...host, hostname: host.hostname.toLowerCase() }))
    .filter((host) => LABEL.test(host.hostname))
    .map((host) => ({
      name: `${host.hostname}.${domain}`,
      cidrs: host.addresses.flatMap((text) => canonicalCidr(text) ?? []).filter(isHostCidr),
    }));
  return {
    domain,
    hosts: new Map(
      named.map(({ name, cidrs }) => [
        name,
        {
          v4: cidrs.filter((cidr) => !isIpv6Cidr(cidr)).map(cidrAddress),
          v6: cidrs.filter(isIpv6Cidr).map(cidrAddress),
        },
      ]),
    ),
    pointers: new Map(
      named.flatMap(({ name, cidrs }) => cidrs.map((cidr) => [reverseName(cidr), name] as const)),
    ),
  };
}

function reverseName(cidr: string): string {
  const bytes = cidrBytes(cidr).toReversed();
  if (!isIpv6Cidr(cidr)) return `${bytes.join('.')}.in-addr.arpa`;
  const nibbles = bytes.flatMap((byte) => [byte & 0x0f, byte >> 4]);
  return `${nibbles.map((nibble) => nibble.toString(16)).join('.')}.ip6.arpa`;
}

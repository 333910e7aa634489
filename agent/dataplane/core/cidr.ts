import {
  InvalidAddressError,
  formatIpPrefix,
  hostPrefix,
  ipAddressToBytes,
  parseIpAddress,
  parseIpPrefix,
  prefixContainsPrefix,
  prefixOf,
} from '@nexodus/netip';

/**
 * The canonical text of a prefix (`100.64.0.7/32`, `fd00::/64`): host bits cleared, IPv6 as in RFC 5952; a bare
 * address means its host prefix. Null for anything else. Plans, readings and rules hold only this form, so two
 * prefixes are equal exactly when their texts are.
 */
export function canonicalCidr(text: string): string | null {
  const [addressText = '', lengthText, ...rest] = text.split('/');
  const isLength = lengthText === undefined || /^(0|[1-9][0-9]{0,2})$/.test(lengthText);
  if (rest.length > 0 || !isLength) return null;
  try {
    const address = parseIpAddress(addressText);
    const prefix =
      lengthText === undefined ? hostPrefix(address) : prefixOf(address, Number(lengthText));
    return formatIpPrefix(prefix);
  } catch (error) {
    if (error instanceof InvalidAddressError) return null;
    throw error;
  }
}

/** Whether every address of canonical prefix `inner` lies in canonical prefix `outer`; false across families. */
export function cidrContains(outer: string, inner: string): boolean {
  return prefixContainsPrefix(parseIpPrefix(outer), parseIpPrefix(inner));
}

/** Whether a canonical prefix is IPv6. */
export function isIpv6Cidr(cidr: string): boolean {
  return cidr.includes(':');
}

/** Whether a canonical prefix is one address. */
export function isHostCidr(cidr: string): boolean {
  return cidr.endsWith(isIpv6Cidr(cidr) ? '/128' : '/32');
}

/** The address part of a canonical prefix. */
export function cidrAddress(cidr: string): string {
  return cidr.slice(0, cidr.indexOf('/'));
}

/** The octets of the address of a canonical prefix, in network order. */
export function cidrBytes(cidr: string): number[] {
  return [...ipAddressToBytes(parseIpPrefix(cidr).address)];
}

/** The canonical text of `address:port` or `[address]:port`; null for anything else, names and port 0 included. */
export function canonicalEndpoint(text: string): string | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const cidr = match === null ? null : canonicalCidr(match[1] ?? match[2] ?? '');
  if (cidr === null || port < 1 || port > 65_535) return null;
  const address = cidrAddress(cidr);
  return isIpv6Cidr(cidr) ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * An endpoint as WireGuard prints it: canonical, or as it is where a link-local IPv6 address carries its zone
 * (`[fe80::1%eth0]:51820`), which no plan asks for but to which a peer on the same link may roam. Null for anything else.
 */
export function readEndpoint(text: string): string | null {
  const zoned = /^\[([0-9a-fA-F:]+)%[^\s\]]{1,15}\](:[0-9]{1,5})$/.exec(text);
  if (zoned === null) return canonicalEndpoint(text);
  return canonicalEndpoint(`[${zoned[1]}]${zoned[2]}`) === null ? null : text;
}

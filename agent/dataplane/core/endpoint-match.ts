import { formatIpAddress, type IpFamily, parseIpAddress } from '@nexodus/netip';

/** An endpoint in the words of nftables. */
export interface EndpointMatch {
  readonly family: IpFamily;
  /** `ip` or `ip6`: what its address is an attribute of. */
  readonly ip: 'ip' | 'ip6';
  readonly address: string;
  readonly port: number;
}

/**
 * Reads `address:port` or `[address]:port`.
 *
 * @throws InvalidAddressError
 */
export function matchEndpoint(endpoint: string): EndpointMatch {
  const at = endpoint.lastIndexOf(':');
  const address = parseIpAddress(endpoint.slice(0, at).replace(/^\[(.*)\]$/, '$1'));
  const { family } = address;
  const port = Number(endpoint.slice(at + 1));
  return { family, ip: family === 4 ? 'ip' : 'ip6', address: formatIpAddress(address), port };
}

/** The start of a transaction that puts a table of family `inet` in place of whatever is there. */
export function replaceTable(table: string): string {
  return `\nadd table inet ${table}\ndelete table inet ${table}\n`;
}

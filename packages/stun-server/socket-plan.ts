import { isIP } from 'node:net';
import { addressKind, parseIpAddress } from '@nexodus/netip';

/** An address of this machine and a port. */
export interface StunAddress {
  readonly host: string;
  readonly port: number;
}

/** What a server has besides its primary addresses for NAT discovery (RFC 5780 section 6.1). */
export interface StunDiscovery {
  /** The second port of every address. */
  readonly port: number;
  /** A second address for each family that has one. */
  readonly addresses: readonly string[];
}

/** One socket, and which others answer for it; all by their places in the plan. */
export interface StunSocketPlan {
  readonly address: StunAddress;
  /** Same address, the other port. */
  readonly otherPort: number | undefined;
  /** The other address, same port. */
  readonly otherAddress: number | undefined;
  /** Both other: what OTHER-ADDRESS names. */
  readonly both: number | undefined;
}

/**
 * The sockets of a server: its primary addresses, each with the other port where there is one, and with the other address
 * of its family on both ports.
 *
 * @throws {RangeError} for a second port or address that is the first, and for discovery on a wildcard address, which
 * nobody could be told
 */
export function planSockets(
  primary: readonly StunAddress[],
  discovery: StunDiscovery | undefined,
): StunSocketPlan[] {
  if (discovery !== undefined && primary.some(({ host }) => isWildcard(host))) {
    throw new RangeError('NAT discovery needs single addresses, not a wildcard');
  }
  const plans: StunSocketPlan[] = [];
  for (const address of primary) plans.push(...squareOf(address, discovery, plans.length));
  const texts = plans.map(({ address: { host, port } }) => `${host} ${port}`);
  if (new Set(texts).size < texts.length) {
    throw new RangeError('a second address or port is the same as a first');
  }
  return plans;
}

function isWildcard(host: string): boolean {
  return addressKind(parseIpAddress(host)) === 'unspecified';
}

/** The up to four sockets of one primary address, of which the first is at `start` of the plan. */
function squareOf(
  { host, port }: StunAddress,
  discovery: StunDiscovery | undefined,
  start: number,
): StunSocketPlan[] {
  const otherHost = discovery?.addresses.find((other) => isIP(other) === isIP(host));
  const hosts = otherHost === undefined ? [host] : [host, otherHost];
  const ports = discovery === undefined ? [port] : [port, discovery.port];
  const placeOf = (hostIndex: number, portIndex: number): number | undefined =>
    hosts[hostIndex] === undefined || ports[portIndex] === undefined
      ? undefined
      : start + hostIndex * ports.length + portIndex;
  return hosts.flatMap((ownHost, h) =>
    ports.map((ownPort, p) => ({
      address: { host: ownHost, port: ownPort },
      otherPort: placeOf(h, 1 - p),
      otherAddress: placeOf(1 - h, p),
      both: placeOf(1 - h, 1 - p),
    })),
  );
}

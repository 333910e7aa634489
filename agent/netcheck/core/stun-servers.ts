import type { ReachabilityMap } from '@nexodus/contracts/agent';
import { canonicalEndpoint } from '../../dataplane/core/cidr.ts';
import type { Place } from './nat-verdict.ts';

/** More servers than this of one family are not kept. */
const MAX_SERVERS = 16;

/** STUN servers by family. */
export interface StunServers {
  readonly ipv4: readonly Place[];
  readonly ipv6: readonly Place[];
}

/** None at all. */
export const NO_SERVERS: StunServers = { ipv4: [], ipv6: [] };

/** The STUN servers of a map by family, each once: servers first, which may offer discovery, then relays. Never throws. */
export function readStunServers(map: Pick<ReachabilityMap, 'relays' | 'stunServers'>): StunServers {
  const texts = [
    ...map.stunServers.flatMap(({ addresses }) => addresses),
    ...map.relays.flatMap(({ stunAddresses }) => stunAddresses),
  ];
  const places = readPlaces(texts);
  const isIpv6 = ({ address }: Place): boolean => address.includes(':');
  return {
    ipv4: places.filter((place) => !isIpv6(place)).slice(0, MAX_SERVERS),
    ipv6: places.filter(isIpv6).slice(0, MAX_SERVERS),
  };
}

/** Reads texts `address:port`, each once; what is none is left out. Never throws. */
export function readPlaces(texts: readonly string[]): readonly Place[] {
  const canonical = new Set(texts.flatMap((text) => canonicalEndpoint(text) ?? []));
  return [...canonical].map(readPlace);
}

/** `address:port` or `[address]:port`. */
export function placeText({ address, port }: Place): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Reads a canonical text. */
function readPlace(text: string): Place {
  const at = text.lastIndexOf(':');
  return { address: text.slice(0, at).replaceAll(/[[\]]/g, ''), port: Number(text.slice(at + 1)) };
}

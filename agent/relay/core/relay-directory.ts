import type { ReachabilityMap } from '@nexodus/contracts/agent';

/** A relay as the service tells of it. */
export interface KnownRelay {
  readonly relayId: string;
  /** `https://host:port`, the port always named. */
  readonly origin: string;
  /** Host name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Where it answers STUN, `address:port`; may be empty. */
  readonly stunAddresses: readonly string[];
  /** Whether it takes new sessions. */
  readonly isOpen: boolean;
}

/** More relays than this are not looked at: measuring them would be a burden on the device and on them. */
const MAX_RELAYS = 64;

/** At most so many STUN addresses of one relay: one for each family. */
const MAX_STUN_ADDRESSES = 2;

/** The port of an origin that names none. */
const HTTPS_PORT = 443;

/** Reads the relays of a map, by id; what has no usable origin is left out. Never throws. */
export function readRelays(map: Pick<ReachabilityMap, 'relays'>): ReadonlyMap<string, KnownRelay> {
  const known = new Map<string, KnownRelay>();
  for (const relay of map.relays) {
    const place = readOrigin(relay.url);
    if (place === undefined || relay.relayId === '' || known.size >= MAX_RELAYS) continue;
    known.set(relay.relayId, {
      relayId: relay.relayId,
      ...place,
      stunAddresses: relay.stunAddresses.slice(0, MAX_STUN_ADDRESSES),
      isOpen: relay.available && !relay.draining,
    });
  }
  return known;
}

function readOrigin(text: string): Pick<KnownRelay, 'origin' | 'host' | 'port'> | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol !== 'https:' || url.hostname === '' || url.username !== '') return undefined;
  const port = url.port === '' ? HTTPS_PORT : Number(url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { origin: `https://${url.hostname}:${port}`, host, port };
}

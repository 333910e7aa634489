import { isIP } from 'node:net';
import type { RelayConfig } from './relay-config.ts';
import type { UdpLanePlace } from './udp-lane/udp-lane.ts';

/** Where the UDP lane listens, and what devices are told instead. */
export interface UdpAddresses {
  readonly listen: readonly string[];
  /** Public addresses by family: 4 or 6. */
  readonly publicOf: ReadonlyMap<number, string>;
}

/** The addresses of the UDP lane: those of the settings, else that of the public listener. */
export function udpAddresses({ listen, public_url: publicUrl, udp }: RelayConfig): UdpAddresses {
  const own = isIP(listen.host) === 0 ? '127.0.0.1' : listen.host;
  const addresses = udp.addresses.length > 0 ? udp.addresses : [own];
  const named = publicUrl === undefined ? '' : new URL(publicUrl).hostname.replace(/^\[|\]$/g, '');
  const told =
    udp.public_addresses.length === 0 && isWildcard(own) && isIP(named) === isIP(own)
      ? [named]
      : udp.public_addresses;
  return { listen: addresses, publicOf: new Map(told.map((text) => [isIP(text), text])) };
}

/** A place as devices reach it: ports are kept. */
export function publicPlace(place: UdpLanePlace, { publicOf }: UdpAddresses): UdpLanePlace {
  const translate = (address: string): string => {
    const at = address.lastIndexOf(':');
    const port = address.slice(at + 1);
    const host = address.slice(0, at).replace(/^\[|\]$/g, '');
    const told = publicOf.get(isIP(host)) ?? host;
    return isIP(told) === 6 ? `[${told}]:${port}` : `${told}:${port}`;
  };
  return [place[0].map(translate), place[1].map(translate)];
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

import { isIP } from 'node:net';
import type { Part } from '@nexodus/lifecycle';
import { addressKind, parseIpAddress } from '@nexodus/netip';
import { openStunServer, type StunServer } from '@nexodus/stun-server';
import type { Logger } from '@nexodus/telemetry';
import type { UdpAddresses } from './udp-addresses.ts';

/** What one source may ask: devices measure a relay every few seconds, and many may sit behind one NAT. */
const LIMIT = { ratePerSecond: 100, burst: 200, tableSize: 16_384 };

/** SOFTWARE of every answer. */
const SOFTWARE = 'Nexodus';

/** What the relay's STUN needs. */
export interface RelayStunOptions {
  readonly addresses: UdpAddresses;
  /** 0 for none. */
  readonly port: number;
  /** A server beside the relay, which then has none of its own. */
  readonly beside: readonly string[];
  readonly logger: Logger;
}

/** STUN on the relay itself, by which devices measure how far it is. */
export interface RelayStun {
  readonly part: Part;
  /** Where devices reach it, such as "192.0.2.1:3480"; none while it does not answer. */
  addresses(): readonly string[];
}

/** Builds it: a relay without it works, and is measured in other ways. */
export function createRelayStun({ addresses, beside, logger, port }: RelayStunOptions): RelayStun {
  let server: StunServer | undefined;
  const part: Part = {
    name: 'relay STUN',
    start: async () => {
      if (port === 0 || beside.length > 0) return;
      server = await openStunServer({
        listen: addresses.listen.map((host) => ({ host, port })),
        software: SOFTWARE,
        limit: LIMIT,
        threads: 1,
        onFailure: (error) => {
          logger.error({ error }, 'the STUN sockets of the relay failed');
          server = undefined;
        },
      });
    },
    stop: async () => {
      await server?.stop();
      server = undefined;
    },
  };
  const told = addresses.listen
    .map((host) => addresses.publicOf.get(isIP(host)) ?? host)
    .filter((host) => addressKind(parseIpAddress(host)) !== 'unspecified')
    .map((host) => (isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`));
  return { part, addresses: () => (server === undefined ? beside : told) };
}

import type { RelayLane } from './relay-lane.ts';
import { routerLane } from './router-lane.ts';
import { tlsRelayLane } from './tls-relay-lane.ts';
import { turnLane } from './turn-lane.ts';
import { udpRelayLane } from './udp-relay-lane.ts';

/** All ways to relay, in the order of the table: the limit first, the peer last. */
export const lanes: readonly RelayLane[] = [
  routerLane,
  udpRelayLane('nft'),
  udpRelayLane('koffi'),
  udpRelayLane('dgram'),
  tlsRelayLane(),
  turnLane,
];

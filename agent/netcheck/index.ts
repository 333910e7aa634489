/**
 * What an agent knows of its own place in the network: the addresses at which it may be reached (`own-addresses.ts`), those
 * by which it is seen from outside (`network-self.ts`), what kind of NAT is in between (`nat-check.ts`), and a fresh look at
 * all of it on request (`check-network.ts`). Decisions are in core/, without clock or socket.
 */
export { checkNetwork } from './check-network.ts';
export { advise } from './core/advise.ts';
export { natName } from './core/nat-verdict.ts';
export { ownEndpoints } from './core/own-endpoints.ts';
export { drawNetwork } from './core/network-picture.ts';
export type { FamilyReport, NetworkReport, RelayReport } from './core/network-report.ts';
export { placeText, readPlaces } from './core/stun-servers.ts';
export { guessVpcPrefixes } from './core/vpc-prefixes.ts';
export type { HostView } from './host-view.ts';
export { createIprouteHostView } from './iproute-host-view.ts';
export { NetworkSelf } from './network-self.ts';

/**
 * The agent's side of relays: which ones there are and which are near (`relay-finder.ts`), grants (`grant-desk.ts`), the
 * line to each relay in use with attachment, sessions and both lanes (`relay-line.ts`), and what follows for the tunnel
 * (`relay-paths.ts`). Decisions are in core/, without clock or socket.
 */
export type { RelayDemand } from './core/choose-lane.ts';
export { openPortSocket } from './port-socket.ts';
export { DIRECT_PATH } from './relay-facts.ts';
export type { PeerPathView, RelayPeer, RelayWhereabouts } from './relay-facts.ts';
export type { RelayAccess } from './relay-attachment.ts';
export { RelayPaths } from './relay-paths.ts';

import type { FirewallPlan, PlanPeer } from './device-plan.ts';

/** What the machine was found to hold for one tunnel interface. Without a link nothing else of the tunnel exists. */
export interface DataplaneState {
  readonly link: LinkState | null;
  readonly addresses: readonly string[];
  /** A peer's `endpoint` is the one last asked for, not the one that it roamed to; see `observedEndpoint`. */
  readonly peers: readonly PlanPeer[];
  readonly routes: readonly string[];
  /** Null where the table does not exist. */
  readonly firewall: FirewallState | null;
}

/** The tunnel interface itself. */
export interface LinkState {
  readonly mtuBytes: number;
  readonly isUp: boolean;
  readonly listenPort: number;
}

/** What the nft table lets through. `isIntact`: its rules are known to be the ones that were installed. */
export interface FirewallState extends FirewallPlan {
  readonly isIntact: boolean;
}

/** How long a WireGuard session carries data after its handshake (REJECT_AFTER_TIME, WireGuard paper section 6.2). */
const SESSION_LIFETIME_MS = 180_000;

/**
 * The endpoint that counts as asked for. One that this process asked for is known. Of a peer found in an adopted tunnel
 * it is not: while the peer's session is alive its endpoint works, so it counts as the `wanted` one and is left alone;
 * otherwise it counts as what the tunnel holds, and the plan's replaces it. A fixed one is what the tunnel holds, always.
 */
export function observedEndpoint(peer: {
  readonly asked: string | undefined;
  readonly wanted: string | undefined;
  readonly held: string | undefined;
  /** Whether the peer may not roam. */
  readonly isFixed?: boolean;
  readonly latestHandshakeAt: Date | null;
  readonly now: Date;
}): string | undefined {
  if (peer.held === undefined) return undefined;
  if (peer.isFixed === true) return peer.held;
  if (peer.asked !== undefined) return peer.asked;
  const age = peer.now.getTime() - (peer.latestHandshakeAt?.getTime() ?? 0);
  return age < SESSION_LIFETIME_MS ? (peer.wanted ?? peer.held) : peer.held;
}

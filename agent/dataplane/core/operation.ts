import type { FirewallPlan } from './device-plan.ts';

/**
 * Changes to the tunnel's peers, made in the order: removals, then `set` one by one. `set` creates a peer or replaces
 * its whole list of allowed addresses; an absent `endpoint` leaves the one that the tunnel holds.
 */
export interface PeerChanges {
  readonly remove: readonly string[];
  readonly set: readonly PeerSetting[];
}

/** One peer of `PeerChanges.set`. */
export interface PeerSetting {
  readonly publicKey: string;
  readonly allowedIps: readonly string[];
  readonly endpoint?: string;
  readonly persistentKeepaliveSeconds: number;
}

/** Changes to the tunnel interface and its routes, made in the order of the fields. */
export interface NetworkChange {
  readonly removeRoutes?: readonly string[];
  readonly removeAddresses?: readonly string[];
  readonly mtuBytes?: number;
  readonly addAddresses?: readonly string[];
  /** Brings the interface up. */
  readonly up?: true;
  readonly addRoutes?: readonly string[];
}

/** Elements that one transaction takes out of and puts into the firewall's sets. */
export interface FirewallChange {
  readonly remove: FirewallPlan;
  readonly add: FirewallPlan;
}

/**
 * When an operation belongs: `tighten` takes away what is no longer wanted, `build` makes what is wanted but still
 * closed, `loosen` opens it. A failed `tighten` does not stop the other ones; any failure stops what follows them.
 */
export type Phase = 'tighten' | 'build' | 'loosen';

/** One step from what is to what shall be. */
export type Operation = { readonly phase: Phase } & (
  | { readonly kind: 'firewall-replace'; readonly firewall: FirewallPlan }
  | { readonly kind: 'firewall-update'; readonly change: FirewallChange }
  | { readonly kind: 'tunnel-create'; readonly listenPort: number }
  | { readonly kind: 'tunnel-port'; readonly listenPort: number }
  | {
      readonly kind: 'peers';
      readonly changes: PeerChanges;
      /**
       * Peers of `changes.set` that begin anew, unless they spoke meanwhile: WireGuard waits 5 s after each attempt
       * (REKEY_TIMEOUT, paper section 6.4), also after one that had nowhere to go, whatever endpoint it is given then.
       */
      readonly renew?: readonly string[];
    }
  | { readonly kind: 'network'; readonly change: NetworkChange }
);

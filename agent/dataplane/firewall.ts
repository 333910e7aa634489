import type { FirewallState } from './core/dataplane-state.ts';
import type { FirewallPlan } from './core/device-plan.ts';
import type { FirewallChange } from './core/operation.ts';

/** Packets that the firewall dropped since its table was last replaced, by where they were caught. */
export interface FirewallDrops {
  /** Arrived through the tunnel and not allowed in. */
  readonly inputPackets: number;
  /** About to leave through the tunnel and not allowed out. */
  readonly outputPackets: number;
  /** Neither from nor to this machine itself. */
  readonly forwardPackets: number;
  /** Arrived outside the tunnel for a tunnel address. */
  readonly strayPackets: number;
}

/** What a firewall holds. */
export interface FirewallReading extends FirewallState {
  readonly drops: FirewallDrops;
}

/**
 * The device's own packet filter for one tunnel interface, which needs not exist yet. Each call is one atomic
 * transaction: it happens whole or not at all, and no packet sees a half. Everything thrown is a DataplaneError.
 */
export interface Firewall {
  /** Installs the whole table in place of whatever table of that name there is. */
  replace(firewall: FirewallPlan): Promise<void>;

  /** Changes elements of the sets and no rule. Throws `command-failed` where the table does not hold what is removed. */
  update(change: FirewallChange): Promise<void>;

  /** Null: there is no table. */
  read(): Promise<FirewallReading | null>;

  /** Removes the table; idempotent. */
  remove(): Promise<void>;
}

import type { NetworkChange } from './core/operation.ts';

/** What the kernel holds for the tunnel interface. */
export interface NetworkReading {
  /** The kernel's number of the interface: another one of the same name, made anew, has another. */
  readonly index: number;
  readonly mtuBytes: number;
  readonly isUp: boolean;
  /** Canonical prefixes; link-local addresses are left out. */
  readonly addresses: readonly string[];
  /** Destinations of the routes through the interface that the kernel did not make by itself. */
  readonly routes: readonly string[];
}

/** A prefix that the machine reaches without a router. */
export interface OnLinkPrefix {
  readonly interfaceName: string;
  readonly prefix: string;
}

/** An address of the machine at which peers may reach it. */
export interface LocalAddress {
  readonly interfaceName: string;
  /** Without prefix length. */
  readonly address: string;
}

/**
 * Addresses and routes of one network namespace, seen from the tunnel interface that the adapter is made for. Everything
 * thrown is a DataplaneError.
 */
export interface HostNetwork {
  /** Null: there is no such interface. */
  read(): Promise<NetworkReading | null>;

  /** Whether the tunnel interface, there or yet to be made, may hold IPv6 addresses. */
  hasIpv6(): Promise<boolean>;

  /** Makes the changes of the tunnel interface in the order of NetworkChange; adding what is there is no error. */
  change(change: NetworkChange): Promise<void>;

  /** The on-link prefixes of all interfaces but the tunnel, loopback and link-local ones left out. */
  onLinkPrefixes(): Promise<OnLinkPrefix[]>;

  /** Candidate endpoints: usable addresses, without loopback, link-local ones and those of any tunnel interface. */
  localAddresses(): Promise<LocalAddress[]>;

  /**
   * Calls `onChange` after each change of a link, address or route until `signal` aborts, also once after the watch was
   * interrupted and resumed. Resolves when stopped.
   */
  watch(onChange: () => void, signal: AbortSignal): Promise<void>;
}

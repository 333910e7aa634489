import type { OwnAddress } from './own-addresses.ts';
import type { NatVerdict } from './nat-verdict.ts';

/** What an agent found out about its own place in the network. */
export interface NetworkReport {
  /** Whether the service has said which relays and STUN servers there are. */
  readonly isMapKnown: boolean;
  /** The tunnel's UDP port. */
  readonly tunnelPort: number;
  /** Whether the outside addresses are those of the tunnel's port; else of another port of this machine. */
  readonly isTunnelPort: boolean;
  readonly ipv4: FamilyReport;
  readonly ipv6: FamilyReport;
  readonly ownAddresses: readonly OwnAddress[];
  /** Nearest first, those that do not answer last. */
  readonly relays: readonly RelayReport[];
  readonly udp443: Udp443;
  /** Undefined where there is no relay or server to reach, or no route there. */
  readonly mtu: PathMtu | undefined;
  /** Origin of the proxy that relays are reached through, without credentials; empty for none. */
  readonly proxy: string;
}

/** One address family. */
export interface FamilyReport {
  /** Whether this machine has an address of the family outside of the tunnel, and a route to the servers. */
  readonly isUsable: boolean;
  readonly verdict: NatVerdict;
}

/** Whether datagrams to port 443 get through; `no-server`: nobody known answers datagrams there. */
export type Udp443 = 'passes' | 'blocked' | 'no-server';

/** One relay. */
export interface RelayReport {
  readonly relayId: string;
  readonly isHome: boolean;
  /** Whether it takes new sessions. */
  readonly isOpen: boolean;
  /** By datagrams; undefined: no answer. */
  readonly udpRoundTripMs: number | undefined;
  /** Where datagrams were sent, `address:port`; empty: it has no such address, or only a proxy leads to it. */
  readonly udpPlaces: readonly string[];
  /** `https://host:port`. */
  readonly origin: string;
  /** Time until the TLS connection stood; undefined: it did not. */
  readonly tlsMs: number | undefined;
  /** Why there is no TLS connection, in one line; empty where there is one. */
  readonly tlsProblem: string;
}

/** What the machine's routes say of the packets that fit. */
export interface PathMtu {
  readonly mtuBytes: number;
  readonly interfaceName: string;
  /** To which address. */
  readonly address: string;
}

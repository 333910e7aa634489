import type { RelayLatency } from '@nexodus/contracts/type';

/** A peer in the tunnel. */
export interface RelayPeer {
  readonly deviceId: string;
  /** Base64. */
  readonly wireGuardKey: string;
  /** Relay that it can be invited through; empty for none. */
  readonly homeRelayId: string;
  readonly relayLatencies: readonly RelayLatency[];
  /** When WireGuard last shook hands with it, milliseconds since 1970. */
  readonly handshakeAtMs: number | undefined;
}

/** How the machine stands. */
export interface RelayMachine {
  /** The peers in the tunnel. */
  readonly peers: readonly RelayPeer[];
  /** UDP port of the tunnel; 0: none yet. */
  readonly tunnelPort: number;
  /** Addresses of this machine outside the tunnel. */
  readonly addresses: readonly string[];
}

/** Where the service says that this device can be met. */
export interface RelayWhereabouts {
  readonly homeRelayId: string;
  readonly relayLatencies: readonly RelayLatency[];
}

/** How a peer is reached. */
export interface PeerPathView {
  readonly kind: 'direct' | 'relay-udp' | 'relay-tls';
  /** Empty for a direct path. */
  readonly relayId: string;
  /** For people; empty for a direct path. */
  readonly reason: string;
}

/** The path to a peer that no relay carries. */
export const DIRECT_PATH: PeerPathView = { kind: 'direct', relayId: '', reason: '' };

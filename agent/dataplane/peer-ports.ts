/** A peer that the tunnel reaches from another port than its own. */
export interface PeerPort {
  /** The peer, `address:port` or `[address]:port`. */
  readonly peer: string;
  /** UDP port of an open socket of the agent: what the NAT in front of this machine knows for that peer. */
  readonly ownPort: number;
}

/**
 * Lets packets between the tunnel and single peers leave from, and arrive at, other ports of this machine than the tunnel's.
 *
 * A NAT with address-dependent mapping shows each peer another port. Where one of the agent's many sockets has found a way
 * through two NATs (a birthday attempt), only that socket's port leads through: WireGuard's packets must seem to be its own.
 * Works together with PortShare: what comes by such a port and is ours reaches the agent's socket. Everything thrown is a
 * DataplaneError.
 */
export interface PeerPorts {
  /** Puts these in force in place of those before; none takes all away. One transaction. */
  install(tunnelPort: number, ports: readonly PeerPort[]): Promise<void>;
}

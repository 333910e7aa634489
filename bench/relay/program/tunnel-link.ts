/** A loopback socket that is the peer's endpoint for WireGuard. */
export interface TunnelLink {
  readonly port: number;
  /** Hands WireGuard a datagram of the peer. */
  deliver(datagram: Uint8Array): void;
  close(): unknown;
}

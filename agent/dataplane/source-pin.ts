/** Packets of the tunnel that come from one place and shall look as if they came from another. */
export interface PinnedSource {
  /** Where they come from, `address:port` or `[address]:port`. */
  readonly from: string;
  /** Where they shall seem to come from; of the same address family. */
  readonly to: string;
}

/**
 * Keeps WireGuard on the path that it was just pointed at.
 *
 * WireGuard takes the source of every authentic packet for the peer's endpoint. When a pair moves from one path to another,
 * packets that are still on their way by the old one would move it back; a pin shows them to it as if they had come by the
 * new one. It is needed for the few seconds that packets take. Only data is rewritten: a handshake that comes by the old path
 * is news. Everything thrown is a DataplaneError.
 */
export interface SourcePin {
  /** Puts these pins in force in place of those before; none takes all away. One transaction. */
  install(tunnelPort: number, pins: readonly PinnedSource[]): Promise<void>;
}

/** How much the TLS lane holds and how long it waits. */
export interface TlsLaneLimits {
  /** Connections at once, those that have not shown a key included. */
  readonly connections: number;
  /** Connections at once that have not yet shown a key and been admitted. */
  readonly handshakes: number;
  /** Those of one IPv4 address or IPv6 /64. */
  readonly handshakesPerSource: number;
  /** A handshake, admission included, may take so long. */
  readonly handshakeMs: number;
  /**
   * Packets that wait for one slow client, in bytes; beyond that its oldest are dropped. 1 MiB is 80 ms at 100 Mbit/s.
   */
  readonly queueBytes: number;
  /**
   * Something is sent to each client so often, give or take a tenth. Existing clients give up after 120 s of silence,
   * and proxies on the way often after 60 s.
   */
  readonly keepAliveMs: number;
  /** A closed connection may take so long to be told why before it is cut. */
  readonly farewellMs: number;
}

/** Limits for a relay of its own. */
export const defaultTlsLaneLimits: TlsLaneLimits = {
  connections: 16_384,
  handshakes: 1_024,
  handshakesPerSource: 128,
  handshakeMs: 10_000,
  queueBytes: 1_048_576,
  keepAliveMs: 30_000,
  farewellMs: 1_000,
};

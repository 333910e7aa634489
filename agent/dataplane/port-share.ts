/** Ports that are to be one outside. */
export interface SharedPorts {
  /** UDP port of the tunnel. */
  readonly tunnelPort: number;
  /** Port of the agent's own IPv4 socket; undefined where there is none. */
  readonly ipv4: number | undefined;
  /** Port of the agent's own IPv6 socket. */
  readonly ipv6: number | undefined;
}

/**
 * Makes sockets of the agent's own look like the tunnel's UDP port: what they send leaves from it, and what comes to it and
 * is ours (STUN, datagrams with our magic) reaches them. To NATs and stateful firewalls both are one flow, so what
 * is learnt of one holds for the other. Everything thrown is a DataplaneError.
 */
export interface PortShare {
  /** Puts the rules in force in place of those before. One transaction. */
  install(ports: SharedPorts): Promise<void>;
  /** Takes them away; idempotent. */
  remove(): Promise<void>;
}

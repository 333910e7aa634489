import type { NatKind } from './nat-ruleset.ts';

/**
 * How a customer's machines reach the internet; all unordered pairs of these make the grid of path tests. `open`: public
 * addresses of both families, no filter. The four NAT kinds: IPv4 behind one router. `carrier-grade`: the common router,
 * whose outer address is in 100.64.0.0/10 (RFC 6598), behind a carrier's router. `ipv6-only`: public IPv6 addresses
 * behind a stateful firewall. `udp-blocked`: the common router without UDP. `http-proxy-only`: no route, an HTTP proxy
 * that allows CONNECT to port 443.
 */
export const ACCESS_KINDS = [
  'open',
  'eim-eif',
  'eim-adf',
  'eim-apdf',
  'apdm-apdf',
  'carrier-grade',
  'ipv6-only',
  'udp-blocked',
  'http-proxy-only',
] as const;

/** One of `ACCESS_KINDS`. */
export type AccessKind = (typeof ACCESS_KINDS)[number];

/** The kind that a machine behind this access must find its NAT to be over IPv4; undefined where there is none to find. */
export const NAT_SEEN: Readonly<Record<AccessKind, NatKind | undefined>> = {
  open: undefined,
  'eim-eif': 'eim-eif',
  'eim-adf': 'eim-adf',
  'eim-apdf': 'eim-apdf',
  'apdm-apdf': 'apdm-apdf',
  'carrier-grade': 'apdm-apdf',
  'ipv6-only': undefined,
  'udp-blocked': undefined,
  'http-proxy-only': undefined,
};

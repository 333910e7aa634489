import { parseWireGuardPublicKey } from '@nexodus/wireguard';
import { DataplaneError } from '../dataplane-error.ts';
import { canonicalCidr, canonicalEndpoint, cidrContains, isHostCidr } from './cidr.ts';

/** Default MTU of the tunnel in bytes: the IPv6 minimum, which every underlay carries (RFC 8200 section 5). */
const TUNNEL_MTU_BYTES = 1280;

/** A peer as the tunnel holds it. */
export interface PlanPeer {
  /** WireGuard public key, base64. */
  readonly publicKey: string;
  /** Canonical prefixes that the peer may use as source; no two peers share one. */
  readonly allowedIps: readonly string[];
  /**
   * Where to send, canonical `address:port`. Set when the peer is new and whenever it differs from the endpoint asked
   * for last; in between the tunnel follows the peer's roaming. Absent: wait until the peer speaks.
   */
  readonly endpoint?: string;
  /** The tunnel sends nowhere else: where the peer roamed to is put right. Default: it may roam. */
  readonly isEndpointFixed?: boolean;
  /** Seconds between keepalives; 0: none. */
  readonly persistentKeepaliveSeconds: number;
}

/**
 * What the device's own nft table lets through on the tunnel interface, as canonical prefixes. Empty lists let nothing
 * through: that is also the state of a device whose policy is unknown.
 */
export interface FirewallPlan {
  /** Addresses of the tunnel, reachable through the tunnel only. */
  readonly ownAddresses: readonly string[];
  /** Shown peers' own addresses: both sides may open flows. */
  readonly peerAddresses: readonly string[];
  /** Approved prefixes behind shown peers: only this device may open flows. */
  readonly peerPrefixes: readonly string[];
}

/** Everything that the machine shall hold for its VPC, as data; lists are sets, their order means nothing. */
export interface DevicePlan {
  readonly mtuBytes: number;
  /** UDP port of the tunnel; 0: the tunnel's own choice, kept while the interface lives. */
  readonly listenPort: number;
  /** Own addresses, /32 and /128. */
  readonly addresses: readonly string[];
  readonly peers: readonly PlanPeer[];
  /** One per shown peer's address and per approved prefix; never the VPC's prefix. */
  readonly routes: readonly string[];
  readonly firewall: FirewallPlan;
}

/** A peer that this device is shown, before it is planned. */
export interface ShownPeer {
  readonly publicKey: string;
  /** The peer's own addresses; a host prefix each, with or without its length. */
  readonly addresses: readonly string[];
  /** Approved prefixes behind the peer. */
  readonly prefixes?: readonly string[];
  readonly endpoint?: string;
  /** See PlanPeer. */
  readonly isEndpointFixed?: boolean;
  readonly persistentKeepaliveSeconds?: number;
}

/** What `planDevice` makes a plan from. */
export interface DeviceIntent {
  /** The device's own tunnel addresses. */
  readonly addresses: readonly string[];
  readonly peers: readonly ShownPeer[];
  /** UDP port of the tunnel; 0 (default): any. */
  readonly listenPort?: number;
  /** Default 1280. */
  readonly mtuBytes?: number;
  /** `drop-all` (no policy known) keeps peers and routes and lets nothing through. Default `peers`. */
  readonly policy?: 'peers' | 'drop-all';
}

/**
 * Makes the plan in which allowed addresses, routes and firewall agree by construction, all texts canonical.
 * Throws DataplaneError(`invalid-plan`) for a text that is no prefix, key, port or endpoint, an own or peer address
 * that is not one address, a key named twice, and a prefix given to two peers or to a peer and the device itself.
 */
export function planDevice(intent: DeviceIntent): DevicePlan {
  const addresses = intent.addresses.map((text) => hostPrefix(text, 'The device'));
  const peers = intent.peers.map(normalizePeer);
  const allowedIps = peers.flatMap((peer) => [...peer.addresses, ...peer.prefixes]);
  refuseRepeated(
    peers.map((peer) => peer.publicKey),
    'key',
  );
  refuseRepeated([...addresses, ...allowedIps], 'prefix');
  const isOpen = intent.policy !== 'drop-all';
  return {
    mtuBytes: integerBetween(intent.mtuBytes ?? TUNNEL_MTU_BYTES, 1280, 65_535, 'MTU'),
    listenPort: integerBetween(intent.listenPort ?? 0, 0, 65_535, 'listen port'),
    addresses,
    peers: peers.map((peer) => ({
      publicKey: peer.publicKey,
      allowedIps: [...peer.addresses, ...peer.prefixes],
      endpoint: peer.endpoint,
      ...(peer.isEndpointFixed ? { isEndpointFixed: true } : {}),
      persistentKeepaliveSeconds: peer.persistentKeepaliveSeconds,
    })),
    routes: allowedIps,
    firewall: {
      ownAddresses: addresses,
      peerAddresses: isOpen ? peers.flatMap((peer) => peer.addresses) : [],
      peerPrefixes: isOpen ? withoutCovered(peers.flatMap((peer) => peer.prefixes)) : [],
    },
  };
}

/** The plan that holds nothing and lets nothing through, on the tunnel of `plan`. */
export function quiescedPlan(plan: DevicePlan): DevicePlan {
  const { mtuBytes, listenPort } = plan;
  return { ...planDevice({ addresses: [], peers: [] }), mtuBytes, listenPort };
}

function normalizePeer(peer: ShownPeer) {
  const subject = `Peer ${peer.publicKey}`;
  try {
    parseWireGuardPublicKey(peer.publicKey);
  } catch (cause) {
    throw invalid("A peer's public key is not a WireGuard key", { cause });
  }
  const endpoint = peer.endpoint === undefined ? undefined : canonicalEndpoint(peer.endpoint);
  if (endpoint === null) throw invalid(`${subject} has an endpoint that is not address:port`);
  return {
    publicKey: peer.publicKey,
    addresses: peer.addresses.map((text) => hostPrefix(text, subject)),
    prefixes: (peer.prefixes ?? []).map((text) => prefix(text, subject)),
    endpoint,
    isEndpointFixed: peer.isEndpointFixed === true,
    persistentKeepaliveSeconds: integerBetween(
      peer.persistentKeepaliveSeconds ?? 0,
      0,
      65_535,
      'keepalive interval',
    ),
  };
}

/** nft refuses overlapping intervals in one set, and the wider prefix says it all. */
function withoutCovered(prefixes: readonly string[]): string[] {
  return prefixes.filter(
    (inner) => !prefixes.some((outer) => outer !== inner && cidrContains(outer, inner)),
  );
}

function hostPrefix(text: string, subject: string): string {
  const cidr = prefix(text, subject);
  if (!isHostCidr(cidr)) throw invalid(`${subject} has ${text}, which is not one address`);
  return cidr;
}

function prefix(text: string, subject: string): string {
  const cidr = canonicalCidr(text);
  if (cidr === null) throw invalid(`${subject} has ${JSON.stringify(text)}, which is no address`);
  return cidr;
}

function refuseRepeated(texts: readonly string[], noun: string): void {
  const seen = new Set<string>();
  for (const text of texts) {
    if (seen.has(text)) throw invalid(`The ${noun} ${text} occurs twice`);
    seen.add(text);
  }
}

function integerBetween(value: number, lowest: number, highest: number, noun: string): number {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw invalid(`The ${noun} ${value} is not a whole number from ${lowest} to ${highest}`);
}

function invalid(message: string, options?: ErrorOptions): DataplaneError {
  const remedy =
    'Nothing was changed; the control plane sent a network map that contradicts itself.';
  return new DataplaneError('invalid-plan', `${message}.`, remedy, options);
}

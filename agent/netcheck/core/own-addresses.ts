/**
 * At which of its own addresses a machine may be reached from outside of the tunnel: what is left of all addresses of all
 * interfaces by the rule "never candidates" (inside a VPC, of a tunnel, loopback, IPv4 link-local).
 */
import {
  addressKind,
  formatIpAddress,
  formatIpPrefix,
  type IpAddress,
  type IpFamily,
  type IpPrefix,
  parseIpAddress,
  prefixContains,
  prefixOf,
} from '@nexodus/netip';
import type { IpAddress as HeldAddress, IpInterface } from '../../dataplane/core/ip-output.ts';

/** An address at which the machine may be reached. */
export interface OwnAddress {
  readonly interfaceName: string;
  /** Canonical, without a prefix length. */
  readonly address: string;
  readonly family: IpFamily;
  /** An IPv6 address that the system replaces by itself (RFC 8981). */
  readonly isTemporary: boolean;
}

/** Why an address is none at which the machine may be reached. */
export type UnusableReason =
  | 'interface-down'
  | 'loopback'
  | 'tunnel'
  | 'link-local'
  | 'in-vpc'
  /** Being tried, found twice in the network, or not preferred any more (RFC 4862 section 5.5.4). */
  | 'not-preferred'
  /** There is a temporary address of the same network that stays longer. */
  | 'older-temporary'
  /** Multicast, unspecified and the like. */
  | 'no-host';

/** An address that is left out, and why. */
export interface UnusableAddress {
  readonly interfaceName: string;
  /** Canonical. */
  readonly address: string;
  readonly reason: UnusableReason;
}

/** What is chosen from. */
export interface OwnAddressQuestion {
  /** All interfaces of the machine. */
  readonly interfaces: readonly IpInterface[];
  readonly tunnelInterface: string;
  /** Prefixes of all VPCs that the machine is in. */
  readonly vpcPrefixes: readonly IpPrefix[];
}

/** Every address of the machine, once. */
export interface OwnAddresses {
  /** In order of interfaces; of one interface those that stay come before temporary ones. */
  readonly usable: readonly OwnAddress[];
  readonly unusable: readonly UnusableAddress[];
}

/** Kinds of addresses that one machine has and others send to. */
const HOST_KINDS: ReadonlySet<string> = new Set([
  'private',
  'carrier-nat',
  'unique-local',
  'global',
]);

/** Sorts a machine's addresses into usable and unusable ones. Never throws. */
export function selectOwnAddresses(question: OwnAddressQuestion): OwnAddresses {
  const usable: OwnAddress[] = [];
  const unusable: UnusableAddress[] = [];
  const seen = new Set<string>();
  for (const link of question.interfaces) {
    const kept = newestTemporaries(link);
    for (const held of link.addresses.toSorted(temporaryLast)) {
      const parsed = parseIpAddress(held.address);
      const address = formatIpAddress(parsed);
      if (seen.has(address)) continue;
      seen.add(address);
      const interfaceName = link.name;
      const { isTemporary } = held;
      const reason = faultOf({ link, held, parsed, kept }, question);
      if (reason !== undefined) unusable.push({ interfaceName, address, reason });
      else usable.push({ interfaceName, address, family: parsed.family, isTemporary });
    }
  }
  return { usable, unusable };
}

interface Judged {
  readonly link: IpInterface;
  readonly held: HeldAddress;
  readonly parsed: IpAddress;
  /** The temporary addresses that are kept. */
  readonly kept: ReadonlySet<HeldAddress>;
}

function faultOf(
  { link, held, parsed, kept }: Judged,
  { tunnelInterface, vpcPrefixes }: OwnAddressQuestion,
): UnusableReason | undefined {
  const kind = addressKind(parsed);
  if (link.isLoopback || kind === 'loopback') return 'loopback';
  if (link.isTunnel || link.name === tunnelInterface) return 'tunnel';
  if (held.isLinkLocal || kind === 'link-local') return 'link-local';
  if (!HOST_KINDS.has(kind)) return 'no-host';
  if (vpcPrefixes.some((prefix) => prefixContains(prefix, parsed))) return 'in-vpc';
  if (!link.isUp || !link.hasCarrier) return 'interface-down';
  if (!held.isUsable) return 'not-preferred';
  return held.isTemporary && !kept.has(held) ? 'older-temporary' : undefined;
}

/**
 * Of the temporary addresses of one network the one that is preferred longest: it is what the machine sends from, and
 * firewalls on the way let answers in to that one only. Those before it are still there for old connections.
 */
function newestTemporaries(link: IpInterface): ReadonlySet<HeldAddress> {
  const newest = new Map<string, HeldAddress>();
  for (const held of link.addresses) {
    if (!held.isTemporary || !held.isUsable) continue;
    const network = formatIpPrefix(prefixOf(parseIpAddress(held.address), held.prefixLength));
    const before = newest.get(network);
    if (before === undefined || held.preferredSeconds > before.preferredSeconds)
      newest.set(network, held);
  }
  return new Set(newest.values());
}

function temporaryLast(a: HeldAddress, b: HeldAddress): number {
  return Number(a.isTemporary) - Number(b.isTemporary);
}

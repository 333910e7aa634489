import type { SecurityRule } from '@nexodus/contracts/event';
import {
  InvalidAddressError,
  type IpAddress,
  type IpRange,
  parseIpRange,
  rangeContains,
} from '@nexodus/netip';

/** ICMP for IPv4 and IPv6 (IANA protocol numbers): each exists in one family only. */
const icmp = 1;
const icmpv6 = 58;

/** Who is at the other end of a rule. */
export type RulePeer =
  | { readonly kind: 'group'; readonly groupId: string }
  | { readonly kind: 'device'; readonly deviceId: string }
  | { readonly kind: 'range'; readonly range: IpRange };

/** A rule, ready to be compared: which packets to or from whom. */
export interface PacketRule {
  readonly peer: RulePeer;
  /** IP protocol number; 0 for any. */
  readonly protocol: number;
  /** Destination ports, both included; absent for any. */
  readonly ports?: { readonly first: number; readonly last: number };
}

/** A device as a rule's other end. */
export interface RuleTarget {
  readonly id: string;
  /** Groups that exist and that it is a member of. */
  readonly groupIds: ReadonlySet<string>;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
}

/**
 * Reads a rule of the change log. Undefined for one that cannot be understood: a range that does not parse, or a kind of
 * peer that is newer than this program. It then allows nothing.
 */
export function parsePacketRule(rule: SecurityRule): PacketRule | undefined {
  const peer = parsePeer(rule.peer);
  if (peer === undefined) return undefined;
  const { protocol, firstPort, lastPort } = rule;
  if (firstPort === 0 && lastPort === 0) return { peer, protocol };
  if (firstPort > lastPort) return undefined;
  return { peer, protocol, ports: { first: firstPort, last: lastPort } };
}

/** The families of the packets that a rule allows to or from a target; none where it does not mean the target. */
export function familiesFor(rule: PacketRule, target: RuleTarget): { v4: boolean; v6: boolean } {
  const v4 = rule.protocol !== icmpv6;
  const v6 = rule.protocol !== icmp;
  const { peer } = rule;
  switch (peer.kind) {
    case 'group': {
      const isMember = target.groupIds.has(peer.groupId);
      return { v4: v4 && isMember, v6: v6 && isMember };
    }
    case 'device': {
      const isMeant = target.id === peer.deviceId;
      return { v4: v4 && isMeant, v6: v6 && isMeant };
    }
    case 'range':
      return {
        v4: v4 && rangeContains(peer.range, target.ipv4),
        v6: v6 && rangeContains(peer.range, target.ipv6),
      };
  }
}

/** Whether two rules have protocol and ports of some packet in common. */
export function rulesOverlap(left: PacketRule, right: PacketRule): boolean {
  if (left.protocol !== right.protocol && left.protocol !== 0 && right.protocol !== 0) return false;
  if (left.ports === undefined || right.ports === undefined) return true;
  return left.ports.first <= right.ports.last && right.ports.first <= left.ports.last;
}

function parsePeer(peer: SecurityRule['peer']): RulePeer | undefined {
  switch (peer?.$case) {
    case 'securityGroupId':
      return { kind: 'group', groupId: peer.value };
    case 'deviceId':
      return { kind: 'device', deviceId: peer.value };
    case 'addressRange': {
      const range = readRange(peer.value);
      return range === undefined ? undefined : { kind: 'range', range };
    }
    default:
      return undefined;
  }
}

function readRange(text: string): IpRange | undefined {
  try {
    return parseIpRange(text);
  } catch (error) {
    if (error instanceof InvalidAddressError) return undefined;
    throw error;
  }
}

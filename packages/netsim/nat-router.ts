import { setSysctls } from './machine.ts';
import {
  renderIpv6Firewall,
  renderNatRuleset,
  renderNoForwarding,
  ROUTER_TABLE,
} from './nat-ruleset.ts';
import type { NatKind } from './nat-ruleset.ts';
import type { VirtualHost } from './virtual-host.ts';
import type { VirtualNetwork } from './virtual-network.ts';
import type { VirtualSwitch } from './virtual-switch.ts';

/** Between which segments a router stands. */
export type RouterPlace = {
  /** Where it is one machine among others, with a default route to that segment's gateway. */
  readonly outside: VirtualSwitch;
  /** Where it is the gateway. */
  readonly inside: VirtualSwitch;
};

/** How a router translates. */
export type NatOptions = RouterPlace & {
  readonly kind: NatKind;
  /**
   * Whether machines inside reach each other's mappings (RFC 4787 section 6). Not for `apdm-apdf`; UDP only. Default
   * false: such packets are dropped.
   */
  readonly hairpin?: boolean;
  /** Whether UDP is dropped in both directions; all else passes. Default false. */
  readonly isUdpBlocked?: boolean;
  /** Life of a UDP mapping after its last packet. Default 120, the least that RFC 4787 section 4.3 allows. */
  readonly mappingLifetimeSeconds?: number;
};

/** A router that translates the addresses of one IPv4 segment (`eth1`) into its own on another (`eth0`). */
export interface NatRouter {
  readonly host: VirtualHost;
  readonly kind: NatKind;
  /** Its address on the outer segment: that of all mappings. */
  readonly outsideIpv4: string;
  /** Drops all mappings and connections, as a restart of the router does: later packets get new ones. */
  forgetMappings(): Promise<void>;
}

const DEFAULT_MAPPING_LIFETIME_SECONDS = 120;

/**
 * Adds a translating router to a network; closed with it.
 *
 * @throws RangeError for `hairpin` with `apdm-apdf`; CommandError when `nft` refuses.
 */
export async function openNatRouter(
  network: VirtualNetwork,
  name: string,
  options: NatOptions,
): Promise<NatRouter> {
  const { kind, mappingLifetimeSeconds = DEFAULT_MAPPING_LIFETIME_SECONDS } = options;
  const host = await openRouterHost(network, name, options);
  const rules = renderNatRuleset({
    kind,
    hairpin: options.hairpin === true,
    isUdpBlocked: options.isUdpBlocked === true,
    outside: { interfaceName: OUTSIDE_INTERFACE, ipv4: host.ipv4 },
    inside: { interfaceName: INSIDE_INTERFACE },
    mappingLifetimeSeconds,
  });
  await loadRules(host, rules);
  await setSysctls(host.namespace, {
    'net.netfilter.nf_conntrack_udp_timeout': String(mappingLifetimeSeconds),
    'net.netfilter.nf_conntrack_udp_timeout_stream': String(mappingLifetimeSeconds),
  });
  return {
    host,
    kind,
    outsideIpv4: host.ipv4,
    async forgetMappings() {
      await loadRules(host, `delete table ip ${ROUTER_TABLE}\n${rules}`);
      await host.run('conntrack', ['--flush']);
    },
  };
}

/** Adds a router between two IPv6 segments that lets in only what answers; closed with the network. */
export async function openIpv6Router(
  network: VirtualNetwork,
  name: string,
  place: RouterPlace,
): Promise<VirtualHost> {
  const host = await openRouterHost(network, name, place);
  await loadRules(host, renderIpv6Firewall(OUTSIDE_INTERFACE, INSIDE_INTERFACE));
  return host;
}

/** Adds a machine on two segments, gateway of the inner one, through which no packet passes; closed with the network. */
export async function openWall(
  network: VirtualNetwork,
  name: string,
  place: RouterPlace,
): Promise<VirtualHost> {
  const host = await openRouterHost(network, name, place);
  await loadRules(host, renderNoForwarding());
  return host;
}

/** A host's interfaces are numbered in the order of its attachments. */
const OUTSIDE_INTERFACE = 'eth0';
const INSIDE_INTERFACE = 'eth1';

function openRouterHost(
  network: VirtualNetwork,
  name: string,
  { outside, inside }: RouterPlace,
): Promise<VirtualHost> {
  const attachments = [{ switch: outside }, { switch: inside, isGateway: true }];
  return network.host(name, attachments, { forwarding: true });
}

async function loadRules(host: VirtualHost, rules: string): Promise<void> {
  await host.run('nft', ['-f', '-'], { stdin: rules });
}

import { cidrAddress, isHostCidr, isIpv6Cidr } from './cidr.ts';
import type { FirewallPlan } from './device-plan.ts';
import type { FirewallChange } from './operation.ts';

/** Names of the table's sets, by what a FirewallPlan calls their elements. */
export const FIREWALL_SETS = {
  ownAddresses: { v4: 'own4', v6: 'own6' },
  peerAddresses: { v4: 'peers4', v6: 'peers6' },
  peerPrefixes: { v4: 'prefixes4', v6: 'prefixes6' },
} as const;

/**
 * The conntrack label (a bit, 0 to 127) of flows that the table let begin. Labels are or-ed, so those of others stay.
 */
const BEGUN_LABEL = 110;

/** The table of one tunnel interface, in family `inet`. */
export function firewallTable(interfaceName: string): string {
  return `nexodus_${interfaceName}`;
}

/**
 * The `nft -f -` transaction that puts the whole table in place of whatever is there.
 *
 * A packet on the tunnel interface must first be from (or to) a shown peer's address, also when its flow is
 * established: taking an element out cuts live flows at once. Then conntrack decides, a TCP flow begins with SYN alone
 * (protocol.md section 5), and ICMP errors pass only as `related`. Prefixes behind a peer may answer and not call.
 * Everything else on the interface, and everything forwarded through it, is dropped and counted. `stray` keeps
 * neighbours on other interfaces from reaching a tunnel address.
 *
 * `established` alone proves nothing: conntrack takes up a TCP flow in its middle (nf_conntrack_tcp_loose) whenever it
 * runs and nothing drops the packet, which is so for rules of others while the table is missing, and between the moment
 * at which a transaction of nft attaches conntrack and the one at which its rules begin to work. So the table labels a
 * flow when it lets it begin, and the packets of a flow without the label must begin it anew, whatever conntrack holds.
 */
export function renderFirewall(interfaceName: string, firewall: FirewallPlan): string {
  const table = firewallTable(interfaceName);
  const tunnel = `"${interfaceName}"`;
  return `
add table inet ${table}
delete table inet ${table}
table inet ${table} {
  counter dropped_input { }
  counter dropped_output { }
  counter dropped_forward { }
  counter dropped_stray { }
${renderSets(firewall)}
  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${tunnel} jump tunnel_input
  }
  chain output {
    type filter hook output priority filter; policy accept;
    oifname ${tunnel} jump tunnel_output
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname ${tunnel} counter name dropped_forward drop
    oifname ${tunnel} counter name dropped_forward drop
  }
  chain stray {
    type filter hook prerouting priority raw; policy accept;
    iifname != ${tunnel} ip daddr @own4 fib saddr type != local counter name dropped_stray drop
    iifname != ${tunnel} ip6 daddr @own6 fib saddr type != local counter name dropped_stray drop
  }
  chain tunnel_input {
    ip saddr @peers4 jump allowed
    ip6 saddr @peers6 jump allowed
    ip saddr @prefixes4 ct label ${BEGUN_LABEL} ct state established,related accept
    ip6 saddr @prefixes6 ct label ${BEGUN_LABEL} ct state established,related accept
    counter name dropped_input drop
  }
  chain tunnel_output {
    ip daddr @peers4 jump allowed
    ip6 daddr @peers6 jump allowed
    ip daddr @prefixes4 jump allowed
    ip6 daddr @prefixes6 jump allowed
    counter name dropped_output drop
  }
  chain allowed {
    ct label ${BEGUN_LABEL} ct state established,related accept
    ct state invalid,untracked return
    meta l4proto tcp tcp flags & (fin | syn | rst | ack) != syn return
    meta l4proto icmp icmp type != echo-request return
    meta l4proto icmpv6 icmpv6 type != echo-request return
    ct label set ${BEGUN_LABEL}
    accept
  }
}
`;
}

/** The `nft -f -` transaction that changes elements; empty when there is nothing to change. */
export function renderFirewallChange(interfaceName: string, change: FirewallChange): string {
  const table = firewallTable(interfaceName);
  const lines = (verb: 'delete' | 'add', plan: FirewallPlan) =>
    setsOf(plan)
      .filter(({ elements }) => elements.length > 0)
      .map(
        ({ name, elements }) =>
          `${verb} element inet ${table} ${name} { ${elements.join(', ')} }\n`,
      );
  return [...lines('delete', change.remove), ...lines('add', change.add)].join('');
}

function renderSets(firewall: FirewallPlan): string {
  return setsOf(firewall)
    .map(({ name, elements, isIpv6, isInterval }) =>
      [
        `  set ${name} {`,
        `    type ${isIpv6 ? 'ipv6_addr' : 'ipv4_addr'}`,
        ...(isInterval ? ['    flags interval'] : []),
        ...(elements.length === 0 ? [] : [`    elements = { ${elements.join(', ')} }`]),
        '  }',
      ].join('\n'),
    )
    .join('\n');
}

function setsOf(plan: FirewallPlan) {
  const families = ['v4', 'v6'] as const;
  const groups = ['ownAddresses', 'peerAddresses', 'peerPrefixes'] as const;
  return groups.flatMap((group) =>
    families.map((family) => ({
      name: FIREWALL_SETS[group][family],
      isIpv6: family === 'v6',
      isInterval: group === 'peerPrefixes',
      elements: plan[group]
        .filter((cidr) => isIpv6Cidr(cidr) === (family === 'v6'))
        .map((cidr) => (isHostCidr(cidr) ? cidrAddress(cidr) : cidr)),
    })),
  );
}

import type { SharedPorts } from '../port-share.ts';

/** The table of one tunnel interface, in family `inet`; apart from the firewall's, whose rules it must not change. */
export function portShareTable(interfaceName: string): string {
  return `nexodus_${interfaceName}_port`;
}

/** The first four bytes of datagrams of ours (packages/relay-registration); no WireGuard or STUN message has them. */
const MAGIC = '0xf5574d31';

/**
 * Types of Binding requests, success and error responses, and STUN's cookie (RFC 8489 section 5). A request of our own
 * comes back where a NAT turns it round; those of others are not answered.
 */
const STUN = '@th,64,16 { 0x0001, 0x0101, 0x0111 } @th,96,32 0x2112a442';

/**
 * The `nft -f -` transaction that puts the table in place of whatever is there.
 *
 * Rewriting is stateless: outwards before conntrack sees the packet (priority below raw), inwards after all filters. The
 * obvious `snat` and `redirect` work only until the tunnel talks to the same place, and then take its port away. STUN is
 * told by type and cookie, because a WireGuard message has random bytes where the cookie is, and never these types.
 */
export function renderPortShare(interfaceName: string, ports: SharedPorts): string {
  const table = portShareTable(interfaceName);
  const families = [
    { family: 'ipv4', port: ports.ipv4 },
    { family: 'ipv6', port: ports.ipv6 },
  ].flatMap(({ family, port }) => (port === undefined ? [] : [{ family, port }]));
  const out = families.map(
    ({ family, port }) =>
      `    meta nfproto ${family} udp sport ${port} udp sport set ${ports.tunnelPort}`,
  );
  const into = families.flatMap(({ family, port }) =>
    [STUN, `@th,64,32 ${MAGIC}`].map(
      (ours) =>
        `    meta nfproto ${family} udp dport ${ports.tunnelPort} ${ours} udp dport set ${port}`,
    ),
  );
  return `
add table inet ${table}
delete table inet ${table}
table inet ${table} {
  chain out {
    type filter hook output priority raw - 10; policy accept;
${out.join('\n')}
  }
  chain in {
    type filter hook input priority 250; policy accept;
${into.join('\n')}
  }
}
`;
}

import type { PeerPort } from '../peer-ports.ts';
import { matchEndpoint, replaceTable } from './endpoint-match.ts';

/**
 * The `nft -f -` transaction that puts these ports in place of whatever is there. Outwards the hook is behind the one that
 * gives the agent's own packets the tunnel's port, and before conntrack; inwards it is behind all filters and before the one
 * that tells the agent's packets from the tunnel's (port-share-ruleset.ts).
 */
export function renderPeerPorts(
  interfaceName: string,
  tunnelPort: number,
  ports: readonly PeerPort[],
): string {
  const table = `nexodus_${interfaceName}_peers`;
  if (ports.length === 0) return replaceTable(table);
  const rules = ports.map(({ ownPort, peer }) => {
    const { address, ip, port } = matchEndpoint(peer);
    return {
      out: `    ${ip} daddr ${address} udp dport ${port} udp sport ${tunnelPort} udp sport set ${ownPort}`,
      in: `    ${ip} saddr ${address} udp sport ${port} udp dport ${ownPort} udp dport set ${tunnelPort}`,
    };
  });
  return `${replaceTable(table)}table inet ${table} {
  chain out {
    type filter hook output priority raw - 5; policy accept;
${rules.map((rule) => rule.out).join('\n')}
  }
  chain in {
    type filter hook input priority 240; policy accept;
${rules.map((rule) => rule.in).join('\n')}
  }
}
`;
}

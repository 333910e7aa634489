import type { PinnedSource } from '../source-pin.ts';
import { matchEndpoint, replaceTable } from './endpoint-match.ts';

/** First four bytes of WireGuard's data messages (paper section 5.4.6). */
const DATA = '@th,64,32 0x04000000';

/**
 * The `nft -f -` transaction that puts these pins in place of whatever is there. The hook is behind all filters, and behind
 * the agent's own rewriting: what a firewall sees is where the packet really came from. Packets are whole there.
 *
 * @throws RangeError where the ends of a pin are of different families
 */
export function renderSourcePins(
  interfaceName: string,
  tunnelPort: number,
  pins: readonly PinnedSource[],
): string {
  const table = `nexodus_${interfaceName}_pin`;
  if (pins.length === 0) return replaceTable(table);
  return `${replaceTable(table)}table inet ${table} {
  chain in {
    type filter hook input priority 260; policy accept;
${pins.map((pin) => renderPin(tunnelPort, pin)).join('\n')}
  }
}
`;
}

function renderPin(tunnelPort: number, pin: PinnedSource): string {
  const [from, to] = [matchEndpoint(pin.from), matchEndpoint(pin.to)];
  if (from.family !== to.family)
    throw new RangeError('nftables cannot change the family of an address');
  const match = `${from.ip} saddr ${from.address} udp sport ${from.port} udp dport ${tunnelPort} ${DATA}`;
  return `    ${match} ${to.ip} saddr set ${to.address} udp sport set ${to.port} counter`;
}

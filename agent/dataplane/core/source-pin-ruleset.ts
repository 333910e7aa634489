import { addressBits, formatIpAddress, type IpAddress, parseIpAddress } from '@nexodus/netip';
import type { PinnedSource } from '../source-pin.ts';

/** The table of one tunnel interface, in family `inet`. */
function sourcePinTable(interfaceName: string): string {
  return `nexodus_${interfaceName}_pin`;
}

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
  const table = sourcePinTable(interfaceName);
  const removal = `\nadd table inet ${table}\ndelete table inet ${table}\n`;
  if (pins.length === 0) return removal;
  return `${removal}table inet ${table} {
  chain in {
    type filter hook input priority 260; policy accept;
${pins.map((pin) => renderPin(tunnelPort, pin)).join('\n')}
  }
}
`;
}

function renderPin(tunnelPort: number, pin: PinnedSource): string {
  const [from, to] = [readEndpoint(pin.from), readEndpoint(pin.to)];
  if (from.address.family !== to.address.family)
    throw new RangeError('nftables cannot change the family of an address');
  const ip = addressBits(from.address.family) === 32 ? 'ip' : 'ip6';
  const match = `${ip} saddr ${formatIpAddress(from.address)} udp sport ${from.port} udp dport ${tunnelPort} ${DATA}`;
  return `    ${match} ${ip} saddr set ${formatIpAddress(to.address)} udp sport set ${to.port} counter`;
}

function readEndpoint(text: string): { readonly address: IpAddress; readonly port: number } {
  const at = text.lastIndexOf(':');
  const host = text.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return { address: parseIpAddress(host), port: Number(text.slice(at + 1)) };
}

import { Peer } from '@nexodus/contracts/nexd';
import { instantText, type ResourceView } from './print-resource.ts';

/** Peers of this machine in tables and as data. */
export const peerView: ResourceView<Peer> = {
  columns: [
    { title: 'hostname', text: ({ hostname }) => hostname },
    { title: 'ipv4', text: ({ ipv4Address }) => ipv4Address || '-' },
    { title: 'ipv6', text: ({ ipv6Address }) => ipv6Address || '-' },
    { title: 'online', text: ({ online }) => (online ? 'yes' : 'no') },
    { title: 'path', text: pathText },
    { title: 'endpoint', text: ({ endpoint }) => endpoint || '-' },
    { title: 'handshake', text: (peer) => secondsText(peer.latestHandshakeSeconds) || '-' },
    { title: 'received', text: ({ rxBytes }) => String(rxBytes) },
    { title: 'sent', text: ({ txBytes }) => String(txBytes) },
    { title: 'refused', text: ({ refused }) => refused },
    { title: 'why not direct', text: ({ pathReason }) => pathReason },
  ],
  toJson: (peer) => Peer.toJSON(peer),
};

/** An instant in the words of tables; empty for none. */
export function secondsText(seconds: bigint): string {
  return seconds === 0n ? '' : instantText(new Date(Number(seconds) * 1000));
}

function pathText({ pathKind, relayId }: Peer): string {
  return relayId === '' ? pathKind || '-' : `${pathKind} ${relayId}`;
}

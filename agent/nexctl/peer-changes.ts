import type { Peer } from '@nexodus/contracts/nexd';
import { peerView } from './peer-view.ts';

/** Peers as lines, by device id. */
export type PeerLines = ReadonlyMap<string, { readonly hostname: string; readonly line: string }>;

/** One line for each peer: its hostname and what is known of it, each with its name. */
export function peerLines(peers: readonly Peer[]): PeerLines {
  return new Map(
    peers.map((peer) => {
      const known = peerView.columns.slice(1).flatMap(({ title, text }) => {
        const value = text(peer);
        return value === '' || value === '-' ? [] : [`${title} ${value}`];
      });
      const line = `${peer.hostname}: ${known.join(', ')}`;
      return [peer.deviceId, { hostname: peer.hostname, line }];
    }),
  );
}

/** What to say of peers that are others than before, and of those that are not there any more. */
export function peerChanges(before: PeerLines, after: PeerLines): readonly string[] {
  const changed = [...after].flatMap(([deviceId, { line }]) =>
    before.get(deviceId)?.line === line ? [] : [line],
  );
  const gone = [...before].flatMap(([deviceId, { hostname }]) =>
    after.has(deviceId) ? [] : [`${hostname}: gone`],
  );
  return [...changed, ...gone];
}

import type { DeviceModel, PeerSoftState } from '../core/device-model.ts';
import type { TunnelPeer } from '../dataplane/index.ts';
import type { RelayPeer } from '../relay/index.ts';

/** The peers in the tunnel as relays need them. */
export function relayPeersOf(
  { accepted }: Pick<DeviceModel, 'accepted'>,
  states: ReadonlyMap<string, PeerSoftState>,
  tunnelPeers: readonly TunnelPeer[],
): RelayPeer[] {
  const held = new Map(tunnelPeers.map((peer) => [peer.publicKey, peer]));
  return accepted.map(({ deviceId, wireGuardKey }) => {
    const { homeRelayId = '', relayLatencies = [] } = states.get(deviceId) ?? {};
    const handshakeAtMs = held.get(wireGuardKey)?.latestHandshakeAt?.getTime();
    return { deviceId, wireGuardKey, homeRelayId, relayLatencies, handshakeAtMs };
  });
}

import type { DaemonState, GetStatusResponse, Peer, RelayedCount } from '@nexodus/contracts/nexd';
import type { PeerSoftState, DeviceModel } from '../core/device-model.ts';
import type { DataplaneStatus, NamesStatus, TunnelPeer } from '../dataplane/index.ts';
import { DIRECT_PATH, type PeerPathView } from '../relay/index.ts';
import type { Enrolment } from '../state/agent-state.ts';
import { AGENT_VERSION } from './agent-version.ts';

/** What a status is made of. */
export interface StatusFacts {
  readonly state: DaemonState;
  readonly problem: string;
  readonly interfaceName: string;
  /** Base64; empty before there are keys. */
  readonly wireGuardKey: string;
  readonly enrolment?: Enrolment;
  readonly model?: DeviceModel;
  readonly tunnel?: DataplaneStatus;
  readonly names?: NamesStatus;
  /** Proxy to the service, without credentials. */
  readonly proxy?: string;
  /** Relay that the device is attached to; empty for none. */
  readonly homeRelayId?: string;
  readonly relayed?: readonly RelayedCount[];
  readonly isConnected: boolean;
  readonly appliedRevision: bigint;
  /** Milliseconds since 1970; 0 for none. */
  readonly leaseUntilMs: number;
}

/** Words a status for people and programs. */
export function describeStatus(facts: StatusFacts): GetStatusResponse {
  const { enrolment, model, tunnel } = facts;
  const self = model?.self;
  return {
    state: facts.state,
    problem: facts.problem,
    version: AGENT_VERSION,
    serviceUrl: enrolment?.serviceUrl ?? '',
    deviceId: enrolment?.deviceId ?? '',
    hostname: self?.hostname ?? enrolment?.hostname ?? '',
    vpcName: self?.vpcName ?? enrolment?.vpcName ?? '',
    vpcId: enrolment?.vpcId ?? '',
    ipv4Address: self?.ipv4Address ?? enrolment?.ipv4Address ?? '',
    ipv6Address: self?.ipv6Address ?? enrolment?.ipv6Address ?? '',
    interfaceName: facts.interfaceName,
    tunnelKind: tunnel?.technology ?? '',
    wireguardPublicKey: facts.wireGuardKey,
    listenPort: tunnel?.listenPort ?? 0,
    connected: facts.isConnected,
    appliedRevision: facts.appliedRevision,
    peerCount: (model?.accepted.length ?? 0) + (model?.refused.length ?? 0),
    leaseUntilSeconds: BigInt(Math.floor(facts.leaseUntilMs / 1000)),
    names: describeNames(facts.names),
    homeRelayId: facts.homeRelayId ?? '',
    relayed: [...(facts.relayed ?? [])],
    proxy: facts.proxy ?? '',
  };
}

/** A row for every visible peer, by hostname. */
export function describePeers(
  model: DeviceModel | undefined,
  states: ReadonlyMap<string, PeerSoftState>,
  tunnelPeers: readonly TunnelPeer[],
  pathOf: (deviceId: string, endpoint: string) => PeerPathView = () => DIRECT_PATH,
): Peer[] {
  if (model === undefined) return [];
  const traffic = new Map(tunnelPeers.map((peer) => [peer.publicKey, peer]));
  const accepted = model.accepted.map(({ deviceId, hostname, wireGuardKey, addresses }) => {
    const held = traffic.get(wireGuardKey);
    const endpoint = held?.endpoint;
    const path = endpoint === undefined ? undefined : pathOf(deviceId, endpoint);
    return {
      deviceId,
      hostname,
      ipv4Address: addresses.find((address) => !address.includes(':')) ?? '',
      ipv6Address: addresses.find((address) => address.includes(':')) ?? '',
      online: states.get(deviceId)?.isOnline ?? false,
      endpoint: endpoint ?? '',
      latestHandshakeSeconds: secondsOf(held?.latestHandshakeAt),
      rxBytes: BigInt(held?.rxBytes ?? 0),
      txBytes: BigInt(held?.txBytes ?? 0),
      wireguardPublicKey: wireGuardKey,
      refused: held === undefined ? 'it could not be put into the tunnel' : '',
      pathKind: path?.kind ?? '',
      relayId: path?.relayId ?? '',
      pathReason: path?.reason ?? '',
    };
  });
  const refused = model.refused.map(({ deviceId, hostname, reason }) => ({
    deviceId,
    hostname,
    ipv4Address: '',
    ipv6Address: '',
    online: states.get(deviceId)?.isOnline ?? false,
    endpoint: '',
    latestHandshakeSeconds: 0n,
    rxBytes: 0n,
    txBytes: 0n,
    wireguardPublicKey: '',
    refused: reason,
    pathKind: '',
    relayId: '',
    pathReason: '',
  }));
  return [...accepted, ...refused].toSorted((a, b) => a.hostname.localeCompare(b.hostname));
}

/** How many peers are relayed, by reason, most first. */
export function countRelayed(peers: readonly Peer[]): RelayedCount[] {
  const counts = new Map<string, number>();
  for (const { pathKind, pathReason } of peers) {
    if (!pathKind.startsWith('relay')) continue;
    counts.set(pathReason, (counts.get(pathReason) ?? 0) + 1);
  }
  return [...counts]
    .map(([reason, number]) => ({ reason, peers: number }))
    .toSorted((a, b) => b.peers - a.peers || a.reason.localeCompare(b.reason));
}

/** The peer that people call so: hostname, full name, device id or address. */
export function findPeer(
  peers: readonly Peer[],
  vpcName: string,
  wanted: string,
): Peer | undefined {
  const name = wanted.toLowerCase().replace(/\.$/, '');
  if (name === '') return undefined;
  return peers.find((peer) => {
    const hostname = peer.hostname.toLowerCase();
    const names = [hostname, `${hostname}.${vpcName}.nexodus`, `${hostname}.${vpcName}`];
    return [...names, peer.deviceId, peer.ipv4Address, peer.ipv6Address].includes(name);
  });
}

function secondsOf(at: Date | null | undefined): bigint {
  return BigInt(Math.floor((at?.getTime() ?? 0) / 1000));
}

function describeNames(names: NamesStatus | undefined): string {
  if (names === undefined) return '';
  if (names.notice !== null) return names.notice;
  if (names.domain === null) return 'no names';
  return `names below ${names.domain} are resolved through ${names.hook}`;
}

/**
 * From what the device knows to what its machine shall hold: the network map reducer of the agent.
 *
 * View, pins, soft state of peers and lease go in; the intent for the data plane, the hosts that get names, and a row
 * for every peer come out. It remembers nothing: what must be carried from one time to the next is in `DeviceMemory`.
 */
import type { SelfEntry } from '@nexodus/contracts/agent';
import type { Endpoint, RelayLatency } from '@nexodus/contracts/type';
import type { BindingPin } from '@nexodus/device-identity';
import type { IpPrefix } from '@nexodus/netip';
import { decodeEntry, selfKey } from '@nexodus/network-map';
import type { DeviceIntent } from '../dataplane/core/device-plan.ts';
import {
  type AcceptedPeer,
  acceptPeers,
  type PeerVerdict,
  readTunnelAddress,
  type RefusedPeer,
} from './accept-peers.ts';
import { chooseEndpoint, type EndpointTrial, type PeerTraffic } from './choose-endpoint.ts';

/** What the service says of a peer besides the view. */
export interface PeerSoftState {
  readonly isOnline: boolean;
  readonly endpoints: readonly Endpoint[];
  /** Relay that the peer can be invited through; absent or empty: none. */
  readonly homeRelayId?: string;
  /** Its round-trip times to relays. */
  readonly relayLatencies?: readonly RelayLatency[];
}

/** Why the peers of the view are not put in force. */
export type Withdrawal = 'lease-ended' | 'device-deleted' | 'device-expired';

/** What one reduction hands to the next. */
export interface DeviceMemory {
  readonly pins: ReadonlyMap<string, BindingPin>;
  readonly verdicts: ReadonlyMap<string, PeerVerdict>;
  /** By device id. */
  readonly trials: ReadonlyMap<string, EndpointTrial>;
}

/** Everything that the device knows at this moment. */
export interface DeviceFacts {
  readonly deviceId: string;
  readonly vpcId: string;
  /** Base64. */
  readonly ownWireGuardKey: string;
  /** UDP port of the tunnel; 0: any. */
  readonly listenPort: number;
  /** The device's own tunnel addresses as the service told them when it joined: used until a view says. */
  readonly enrolledAddresses: readonly string[];
  /** Entries of the view; empty before the first. */
  readonly entries: ReadonlyMap<string, Uint8Array>;
  /** Soft state, by device id. */
  readonly states: ReadonlyMap<string, PeerSoftState>;
  /** What the tunnel says, by WireGuard key. */
  readonly traffic: ReadonlyMap<string, PeerTraffic>;
  readonly onLink: readonly IpPrefix[];
  /** Addresses of this machine outside the tunnel, canonical. */
  readonly localAddresses: readonly string[];
  /**
   * Endpoints of peers that must be relayed, by device id; undefined: nobody must. One that is absent is sent nothing
   * until it is known where.
   */
  readonly relayEndpoints?: ReadonlyMap<string, string>;
  readonly withdrawal: Withdrawal | undefined;
  readonly now: Date;
}

/** What follows from the facts. */
export interface DeviceModel {
  readonly self: SelfEntry | undefined;
  readonly intent: DeviceIntent;
  /** Peers in the tunnel. */
  readonly accepted: readonly AcceptedPeer[];
  /** Visible peers that stay out. */
  readonly refused: readonly RefusedPeer[];
  /** Empty, or one line for administrators: why the view is not in force whole. */
  readonly problem: string;
  readonly memory: DeviceMemory;
  /** Whether pins changed, and must be kept before the intent is put in force. */
  readonly arePinsChanged: boolean;
}

/** Reduces. Never throws; whatever is not known or not proven stays closed. */
export function reduceDevice(facts: DeviceFacts, memory: DeviceMemory): DeviceModel {
  const self = readSelf(facts);
  const ownAddresses = self === undefined ? addressesBefore(facts) : addressesOf(self);
  const judgement = acceptPeers({ ...facts, ...memory, ownAddresses });
  const isOpen = self !== undefined && facts.withdrawal === undefined;
  const accepted = isOpen ? judgement.accepted : [];
  const excluded = new Set([
    ...facts.localAddresses,
    ...ownAddresses,
    ...accepted.flatMap(({ addresses }) => addresses),
  ]);
  const trials = new Map<string, EndpointTrial>();
  const { relayEndpoints } = facts;
  for (const { deviceId, wireGuardKey } of relayEndpoints === undefined ? accepted : []) {
    const trial = chooseEndpoint({
      candidates: facts.states.get(deviceId)?.endpoints ?? [],
      trial: memory.trials.get(deviceId),
      traffic: facts.traffic.get(wireGuardKey),
      onLink: facts.onLink,
      excluded,
      nowMs: facts.now.getTime(),
    });
    if (trial !== undefined) trials.set(deviceId, trial);
  }
  return {
    self,
    intent: {
      addresses: ownAddresses,
      listenPort: facts.listenPort,
      peers: accepted.map(({ deviceId, wireGuardKey, addresses }) => ({
        publicKey: wireGuardKey,
        addresses,
        endpoint: relayEndpoints?.get(deviceId) ?? trials.get(deviceId)?.endpoint,
        isEndpointFixed: relayEndpoints !== undefined,
      })),
    },
    accepted,
    refused: judgement.refused,
    problem: describeProblem(facts, self, judgement.refused),
    memory: { pins: judgement.pins, verdicts: judgement.verdicts, trials },
    arePinsChanged: judgement.arePinsChanged,
  };
}

/** The memory of a device that knows nothing but its pins. */
export function createMemory(pins: ReadonlyMap<string, BindingPin>): DeviceMemory {
  return { pins, verdicts: new Map(), trials: new Map() };
}

function readSelf({ entries, deviceId, vpcId }: DeviceFacts): SelfEntry | undefined {
  const value = entries.get(selfKey);
  const entry = value === undefined ? undefined : decodeEntry(selfKey, value);
  if (entry?.kind !== 'self') return undefined;
  const isOurs = entry.self.deviceId === deviceId && entry.self.vpcId === vpcId;
  return isOurs && addressesOf(entry.self).length > 0 ? entry.self : undefined;
}

function addressesOf(self: SelfEntry): string[] {
  return [
    readTunnelAddress(self.ipv4Address, 4) ?? [],
    readTunnelAddress(self.ipv6Address, 6) ?? [],
  ].flat();
}

/** Before the first view the device already holds its addresses, so that one that cannot be held here shows at once. */
function addressesBefore({ entries, withdrawal, enrolledAddresses }: DeviceFacts): string[] {
  if (entries.size > 0 || withdrawal !== undefined) return [];
  return enrolledAddresses.flatMap(
    (text) => readTunnelAddress(text, text.includes(':') ? 6 : 4) ?? [],
  );
}

const withdrawals: Readonly<Record<Withdrawal, string>> = {
  'lease-ended': 'the service was out of reach for longer than the lease: all peers were removed',
  'device-deleted': 'this device was deleted: all peers were removed',
  'device-expired': 'the key of this device expired: all peers were removed',
};

/** Peers named in a problem; the others are counted. */
const NAMED_PEERS = 5;

function describeProblem(
  facts: DeviceFacts,
  self: SelfEntry | undefined,
  refused: readonly RefusedPeer[],
): string {
  if (facts.withdrawal !== undefined) return withdrawals[facts.withdrawal];
  if (facts.entries.size === 0) return '';
  if (self === undefined) return 'the network map does not describe this device: no peer is used';
  // A peer that has yet to publish its binding is on its way in, not a problem of this device.
  const serious = refused.filter(({ reason }) => !reason.includes('not published'));
  if (serious.length === 0) return '';
  const named = serious.slice(0, NAMED_PEERS).map((peer) => `${peer.hostname}: ${peer.reason}`);
  const more = serious.length > NAMED_PEERS ? `; and ${serious.length - NAMED_PEERS} more` : '';
  return `refused ${named.join('; ')}${more}`;
}

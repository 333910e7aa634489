/**
 * Which peers of the view are put into the tunnel.
 *
 * Each peer must prove its keys by its own signed binding under the device key that is pinned for it, and have addresses
 * of its own. One bad entry never keeps the others out: it is refused by itself, with a reason for people.
 */
import type { PeerEntry } from '@nexodus/contracts/agent';
import {
  acceptBinding,
  type BindingPin,
  InvalidSigningKeyError,
  parseDevicePublicKey,
  type PinRefusal,
} from '@nexodus/device-identity';
import {
  addressKind,
  formatIpAddress,
  InvalidAddressError,
  type IpFamily,
  parseIpAddress,
} from '@nexodus/netip';
import { decodeEntry } from '@nexodus/network-map';
import {
  discoPublicKeyFromBytes,
  formatX25519PublicKey,
  InvalidKeyError,
  wireGuardPublicKeyFromBytes,
} from '@nexodus/wireguard';

/** A peer whose keys are proven. */
export interface AcceptedPeer {
  readonly deviceId: string;
  readonly hostname: string;
  /** Base64. */
  readonly wireGuardKey: string;
  /** Canonical, IPv4 before IPv6. */
  readonly addresses: readonly string[];
}

/** A peer that stays out. */
export interface RefusedPeer {
  readonly deviceId: string;
  readonly hostname: string;
  /** Why, in one line for people. */
  readonly reason: string;
}

/** What is decided about the bytes of one entry; it stays true until `validUntilSeconds`. */
export interface PeerVerdict {
  readonly value: Uint8Array;
  readonly peer: AcceptedPeer | RefusedPeer;
  /** End of an accepted binding; Infinity for a refusal, but -Infinity for one that another clock would lift. */
  readonly validUntilSeconds: number;
}

/** What peers are judged by. */
export interface PeerDocket {
  readonly deviceId: string;
  readonly vpcId: string;
  /** Base64. */
  readonly ownWireGuardKey: string;
  /** The device's own tunnel addresses, canonical. */
  readonly ownAddresses: readonly string[];
  readonly entries: ReadonlyMap<string, Uint8Array>;
  readonly pins: ReadonlyMap<string, BindingPin>;
  /** Verdicts of the time before, by key of the entry: signatures of unchanged entries are not verified again. */
  readonly verdicts: ReadonlyMap<string, PeerVerdict>;
  readonly now: Date;
}

/** Outcome of `acceptPeers`. */
export interface PeerJudgement {
  readonly accepted: readonly AcceptedPeer[];
  readonly refused: readonly RefusedPeer[];
  readonly pins: ReadonlyMap<string, BindingPin>;
  /** Whether `pins` differs from before, and must be kept before the peers are put in force. */
  readonly arePinsChanged: boolean;
  readonly verdicts: ReadonlyMap<string, PeerVerdict>;
}

/** Judges all peers of a view. */
export function acceptPeers(docket: PeerDocket): PeerJudgement {
  const verdicts = new Map<string, PeerVerdict>();
  const offered = new Map<string, BindingPin>();
  for (const [key, value] of docket.entries) {
    const before = docket.verdicts.get(key);
    if (before?.value === value && before.validUntilSeconds * 1000 > docket.now.getTime()) {
      verdicts.set(key, before);
      continue;
    }
    const entry = decodeEntry(key, value);
    if (entry.kind !== 'peer') continue;
    const { verdict, pin } = judge(docket, entry.peer, docket.pins.get(entry.peer.deviceId));
    verdicts.set(key, { value, ...verdict });
    if (pin !== undefined) offered.set(pin.deviceId, pin);
  }
  const separated = separate(docket, verdicts);
  // Who stays out for the sake of another is not known for it: it is neither pinned nor remembered.
  const accepted = new Set<PeerVerdict['peer']>(separated.accepted);
  for (const [key, { peer }] of verdicts) {
    if (isAccepted(peer) && !accepted.has(peer)) verdicts.delete(key);
  }
  return { ...separated, ...pinAccepted(docket.pins, separated.accepted, offered), verdicts };
}

function pinAccepted(
  before: ReadonlyMap<string, BindingPin>,
  accepted: readonly AcceptedPeer[],
  offered: ReadonlyMap<string, BindingPin>,
): Pick<PeerJudgement, 'pins' | 'arePinsChanged'> {
  const pins = new Map(before);
  let arePinsChanged = false;
  for (const { deviceId } of accepted) {
    const pin = offered.get(deviceId);
    if (pin === undefined) continue;
    arePinsChanged ||= pins.get(deviceId)?.contentHash !== pin.contentHash;
    pins.set(deviceId, pin);
  }
  return { pins, arePinsChanged };
}

/** Whether a verdict lets the peer in. */
function isAccepted(peer: AcceptedPeer | RefusedPeer): peer is AcceptedPeer {
  return 'wireGuardKey' in peer;
}

const refusals: Readonly<Record<PinRefusal, string>> = {
  malformed: 'its signed binding is malformed',
  'bad-signature': 'its binding is not signed by its device key',
  expired: 'its binding has expired; it renews by itself when the peer is online',
  'wrong-device': 'its binding speaks of another device',
  'wrong-vpc': 'its binding is for another VPC',
  'changed-device-key':
    'its device key changed: somebody may be posing as it; ask whoever runs that machine',
  'lower-serial': 'an older binding than one seen before was offered',
  'conflicting-serial': 'two different bindings of one serial were offered',
};

type Judgement = { verdict: Omit<PeerVerdict, 'value'>; pin?: BindingPin };

function judge(docket: PeerDocket, entry: PeerEntry, pinned: BindingPin | undefined): Judgement {
  const { deviceId, hostname, binding } = entry;
  const refuse = (reason: string, validUntilSeconds = Infinity): Judgement => ({
    verdict: { peer: { deviceId, hostname, reason }, validUntilSeconds },
  });
  if (deviceId === docket.deviceId) return refuse('it is this device itself');
  if (binding === undefined) return refuse('it has not published a signed binding yet');
  const addresses = readAddresses(entry);
  if (addresses === undefined) return refuse('its addresses are not usable');
  const keys = readKeys(entry);
  if (keys === undefined) return refuse('one of its keys is not a key');
  const verdict = acceptBinding(pinned, {
    deviceId,
    vpcId: docket.vpcId,
    deviceKey: keys.deviceKey,
    binding: {
      deviceId: binding.deviceId,
      vpcId: binding.vpcId,
      wireGuardKey: keys.wireGuardKey,
      discoKey: keys.discoKey,
      serial: binding.serial,
      notAfterSeconds: Number(binding.notAfter),
      signature: binding.signature,
    },
    now: docket.now,
  });
  if (!verdict.accepted) {
    // The clock of this machine may be wrong now, and set right later.
    const validUntilSeconds = verdict.reason === 'expired' ? -Infinity : Infinity;
    return refuse(refusals[verdict.reason], validUntilSeconds);
  }
  const wireGuardKey = formatX25519PublicKey(keys.wireGuardKey);
  if (wireGuardKey === docket.ownWireGuardKey) return refuse('it shows the key of this device');
  const peer = { deviceId, hostname, wireGuardKey, addresses };
  return {
    verdict: { peer, validUntilSeconds: Number(binding.notAfter) },
    pin: verdict.pin,
  };
}

function readKeys(entry: PeerEntry) {
  const { binding } = entry;
  if (binding === undefined) return undefined;
  try {
    return {
      deviceKey: parseDevicePublicKey(entry.devicePublicKey),
      wireGuardKey: wireGuardPublicKeyFromBytes(binding.wireguardPublicKey),
      discoKey: discoPublicKeyFromBytes(binding.discoPublicKey),
    };
  } catch (error) {
    if (error instanceof InvalidKeyError || error instanceof InvalidSigningKeyError) {
      return undefined;
    }
    throw error;
  }
}

/** The addresses, or undefined unless there is at least one and each is a unicast one of its family. */
function readAddresses(entry: PeerEntry): string[] | undefined {
  const texts = [
    { text: entry.ipv4Address, family: 4 as const },
    { text: entry.ipv6Address, family: 6 as const },
  ].filter(({ text }) => text !== '');
  const addresses = texts.map(({ text, family }) => readTunnelAddress(text, family));
  return texts.length > 0 && addresses.every((address) => address !== undefined)
    ? addresses
    : undefined;
}

const tunnelKinds: ReadonlySet<string> = new Set([
  'private',
  'carrier-nat',
  'unique-local',
  'global',
]);

/** The canonical text of an address that a device may have in a VPC, else undefined. */
export function readTunnelAddress(text: string, family: IpFamily): string | undefined {
  try {
    const address = parseIpAddress(text);
    const isUsable = address.family === family && tunnelKinds.has(addressKind(address));
    return isUsable ? formatIpAddress(address) : undefined;
  } catch (error) {
    if (error instanceof InvalidAddressError) return undefined;
    throw error;
  }
}

/**
 * Keys and addresses belong to one device each: whoever claims one that is taken stays out. Devices known from before
 * come first, so that no newcomer displaces one, then the order of device ids.
 */
function separate(
  docket: PeerDocket,
  verdicts: ReadonlyMap<string, PeerVerdict>,
): Pick<PeerJudgement, 'accepted' | 'refused'> {
  const accepted: AcceptedPeer[] = [];
  const refused: RefusedPeer[] = [];
  const taken = new Set(docket.ownAddresses);
  const peers = [...verdicts.values()].map(({ peer }) => peer);
  const rank = ({ deviceId }: { deviceId: string }) =>
    `${docket.pins.has(deviceId) ? 0 : 1} ${deviceId}`;
  for (const peer of peers.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))) {
    if (!isAccepted(peer)) {
      refused.push(peer);
      continue;
    }
    const { deviceId, hostname } = peer;
    const claims = [peer.wireGuardKey, ...peer.addresses];
    if (claims.some((claim) => taken.has(claim))) {
      refused.push({ deviceId, hostname, reason: 'another device has its key or address' });
      continue;
    }
    for (const claim of claims) taken.add(claim);
    accepted.push(peer);
  }
  return { accepted, refused };
}

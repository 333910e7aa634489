/**
 * The agent's paths through relays.
 *
 * Facts come in (the service's map, peers, the tunnel, words of relays); from them follow, at each review, the relays to be
 * attached to, the sessions of pairs there, and for each peer that must be relayed the endpoint for the tunnel. A review
 * compares what is wanted with what is there, so that a first start, a relay that died and one that drains are one code
 * path. What is decided is decided in core/.
 */
import type { Clock, Timer } from '@nexodus/clock';
import type { AgentServiceDefinition, ReachabilityMap } from '@nexodus/contracts/agent';
import type { SignedGrant } from '@nexodus/contracts/relay';
import type { RelayLatency } from '@nexodus/contracts/type';
import { isRegistrationAnswer } from '@nexodus/relay-registration';
import type { RpcClient } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import {
  formatX25519PublicKey,
  parseWireGuardPublicKey,
  type WireGuardPublicKey,
} from '@nexodus/wireguard';
import type { PortShare } from '../dataplane/index.ts';
import type { DeviceKeys } from '../state/device-keys.ts';
import type { RelayDemand } from './core/choose-lane.ts';
import { holdGrant } from './core/grant-book.ts';
import { meetingPoint } from './core/meeting-point.ts';
import type { KnownRelay } from './core/relay-directory.ts';
import { readAnnounced, type RoundTrips } from './core/round-trips.ts';
import { GrantDesk } from './grant-desk.ts';
import { createPeerLinks } from './peer-links.ts';
import { textOfPlace } from './place-text.ts';
import type { PortSocket } from './port-socket.ts';
import type { RelayAccess } from './relay-attachment.ts';
import {
  DIRECT_PATH,
  type PeerPathView,
  type RelayMachine,
  type RelayPeer,
  type RelayWhereabouts,
} from './relay-facts.ts';
import { RelayFinder } from './relay-finder.ts';
import { RelayedPair, type RelayRoute } from './relayed-pair.ts';
import { RelayLines } from './relay-lines.ts';
import { SharedPort } from './shared-port.ts';

/** What the paths need. */
export interface RelayPathsOptions {
  readonly deviceId: string;
  readonly keys: DeviceKeys;
  readonly access: RelayAccess;
  /** How `--relay-only` was given; undefined: relays are used only where a peer asks for it. */
  readonly demand: RelayDemand | undefined;
  /** Client whose calls carry token and proof. */
  readonly client: Pick<RpcClient<AgentServiceDefinition>, 'issueRelayGrants'>;
  /** Undefined where this machine cannot share the tunnel's port. */
  readonly portShare: PortShare | undefined;
  readonly portSocket: PortSocket;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** Endpoints, whereabouts or routes are different. */
  readonly onChange: () => void;
  /**
   * Something that a relay says a peer sent: at most 1,200 bytes, sealed (packages/probe). Nobody vouches for it before it
   * has opened. Undefined: signals are passed over.
   */
  readonly onSignal?: (peerDeviceId: string, sealed: Uint8Array) => void;
}

/** While there are pairs, what waits for time is looked at so often; otherwise seldom. */
const BUSY_TICK_MS = 500;
const IDLE_TICK_MS = 5_000;

/** The UDP lane is tried again so often where it had been given up. */
const RETRY_UDP_MS = 60_000;

/** A peer with which nobody has shaken hands is invited again so often. */
const INVITE_MS = 30_000;

/** WireGuard sessions live so long (REJECT_AFTER_TIME, paper section 6.2). */
const SESSION_MS = 180_000;

/** A peer may call to so many relays at a time: an old and a new meeting point, and one more. */
const MAX_INVITED = 3;

const FORCED = 'forced by --relay-only';
const ASKED = 'the peer asked to meet at a relay';

interface Pair {
  readonly relayed: RelayedPair;
  readonly key: string;
  readonly isForced: boolean;
  peer: RelayPeer;
  /** Grants that came with invitations, newest last. */
  invitation: SignedGrant | undefined;
  meeting: string | undefined;
  invited: { readonly place: string; readonly atMs: number };
}

/** The paths, from their making to `close`. */
export class RelayPaths {
  readonly #options: RelayPathsOptions;
  readonly #finder: RelayFinder;
  readonly #grants: GrantDesk;
  readonly #shared: SharedPort;
  readonly #lines: RelayLines;
  readonly #links = createPeerLinks(() => this.#shared.tunnelPort);
  readonly #pairs = new Map<string, Pair>();
  readonly #names = new WeakMap<WireGuardPublicKey, string>();
  #peers: ReadonlyMap<string, RelayPeer> = new Map();
  #timer: Timer | undefined;
  #isReviewDue = false;
  #isClosed = false;
  #lastTimestamp = 0n;
  #retriedUdpAtMs: number;
  #said = '';
  #addresses: string | undefined;

  constructor(options: RelayPathsOptions) {
    this.#options = options;
    const { access, clock, demand, keys, portSocket } = options;
    const onChange = (): void => this.#review();
    this.#retriedUdpAtMs = clock.monotonicMs();
    this.#finder = new RelayFinder({ portSocket, proxies: access.proxies, clock, onChange });
    this.#grants = new GrantDesk({ ...options, onGrants: () => this.#onGrants() });
    this.#shared = new SharedPort({ ...options, onChange });
    const frame = {
      ...options,
      deviceKey: keys.device,
      wireGuardKey: keys.wireGuard,
      portSocket: () => (this.#shared.isShared ? portSocket : undefined),
      usesTls: demand !== 'udp',
      usesUdp: demand !== 'tls',
      nextTimestamp: () => this.#nextTimestamp(),
    };
    this.#lines = new RelayLines(frame, {
      pass: (relayId) => this.#grants.pass(relayId),
      onPassRefused: () => this.#grants.dropPass(),
      onChange,
      onInvited: (grant, place) => this.#invited(grant, place),
      onPairRefused: (peerId) => this.#pairRefused(peerId),
      onPacket: (source, packet) => this.#receive(source, packet),
      onSignal: (peerId, sealed) => options.onSignal?.(peerId, sealed),
    });
    portSocket.listen((datagram, from) => {
      const place = isRegistrationAnswer(datagram) ? textOfPlace(from) : undefined;
      if (place !== undefined) this.#lines.receive(place, datagram);
    });
    this.#tick();
  }

  /** Whether all peers must be relayed. */
  get isForced(): boolean {
    return this.#options.demand !== undefined;
  }

  /** The relays that the service told last. */
  get relays(): readonly KnownRelay[] {
    return [...this.#finder.known.values()];
  }

  /** Whether the agent's sockets send from the tunnel's port. */
  get isPortShared(): boolean {
    return this.#shared.isShared;
  }

  /** Where the tunnel shall send to peers that must be relayed, by device id; absent while that is not known. */
  get endpoints(): ReadonlyMap<string, string> {
    const endpoints = new Map<string, string>();
    for (const [deviceId, { isForced, relayed }] of this.#pairs) {
      if (isForced && relayed.route !== undefined) endpoints.set(deviceId, relayed.route.endpoint);
    }
    return endpoints;
  }

  /** What peers are told through the service. */
  get whereabouts(): RelayWhereabouts {
    const { home } = this.#finder.choice;
    const isAttached = home !== undefined && this.#lines.get(home)?.state === 'attached';
    return {
      homeRelayId: isAttached ? home : '',
      relayLatencies: this.#finder.announced,
    };
  }

  /** How a peer is reached that the tunnel sends to at this endpoint. */
  pathOf(deviceId: string, endpoint: string): PeerPathView {
    const pair = this.#pairs.get(deviceId);
    if (pair === undefined) return DIRECT_PATH;
    const { relayed } = pair;
    const why = pair.isForced ? FORCED : ASKED;
    if (endpoint === relayed.linkEndpoint) {
      const relayId = relayed.route?.relayId ?? [...relayed.invitedTo][0] ?? '';
      return { kind: 'relay-tls', relayId, reason: withReason(why, relayed.route) };
    }
    for (const relayId of relayed.places(pair.meeting)) {
      const session = this.#lines.get(relayId)?.session(deviceId);
      if (session?.udp.addresses.includes(endpoint) !== true) continue;
      return { kind: 'relay-udp', relayId, reason: why };
    }
    return DIRECT_PATH;
  }

  /**
   * Hands a sealed signal for a peer to the relay that carries its packets, else to another at which both may be. False
   * where no session with the peer is open. A relay drops it, and says nothing, where the peer has not opened its side yet
   * or this device says more than 20 a second there after 40 at once.
   */
  sendSignal(peerDeviceId: string, sealed: Uint8Array): boolean {
    const pair = this.#pairs.get(peerDeviceId);
    if (pair === undefined) return false;
    const { relayed, meeting } = pair;
    const relayIds = [relayed.route?.relayId ?? '', ...relayed.places(meeting)];
    return relayIds.some((relayId) => this.#lines.get(relayId)?.sendSignal(peerDeviceId, sealed));
  }

  /** The service's newest map of relays. */
  tellMap(map: ReachabilityMap): void {
    this.#finder.tellMap(map);
  }

  /** How the machine stands. Other addresses are another network, where nothing that was learnt of this one holds. */
  tellMachine({ addresses, peers, tunnelPort }: RelayMachine): void {
    this.#peers = new Map(peers.map((peer) => [peer.deviceId, peer]));
    this.#shared.tellPort(tunnelPort);
    const text = addresses.join(' ');
    if (this.#addresses !== undefined && this.#addresses !== text) this.#hurry();
    this.#addresses = text;
    this.#review();
  }

  /** Leaves all relays; what the tunnel holds stays. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#finder.close();
    this.#grants.close();
    this.#lines.close();
    for (const { relayed } of this.#pairs.values()) relayed.close();
    await this.#links.close();
    await this.#shared.close();
    this.#options.portSocket.close();
  }

  #hurry(): void {
    this.#finder.measure();
    this.#lines.hurry();
  }

  #tick(): void {
    const { clock } = this.#options;
    const delayMs = this.#pairs.size > 0 ? BUSY_TICK_MS : IDLE_TICK_MS;
    this.#timer = clock.setTimer(delayMs, () => {
      this.#tick();
      this.#review();
    });
  }

  /** Reviews once for all that happens in one turn of the loop. */
  #review(): void {
    if (this.#isReviewDue || this.#isClosed) return;
    this.#isReviewDue = true;
    queueMicrotask(() => {
      this.#isReviewDue = false;
      if (!this.#isClosed) this.#reviewNow();
    });
  }

  #reviewNow(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const usable = this.#lines.usable(this.#finder.known, nowMs);
    this.#finder.choose(usable);
    this.#reviewPairs(usable);
    this.#grants.want({
      peers: [...this.#pairs.values()].map(({ peer }) => peer),
      relayIds: this.#finder.byDistance.slice(0, MAX_GRANT_RELAYS).toSorted(),
      ownWireGuardKey: formatX25519PublicKey(this.#options.keys.wireGuard.publicKey),
    });
    this.#reviewLines();
    this.#retryUdp(nowMs);
    for (const pair of this.#pairs.values()) {
      pair.relayed.steer(pair.meeting, this.#monotonicOf(pair.peer.handshakeAtMs));
      if (pair.isForced) this.#invite(pair, nowMs);
    }
    this.#tellChange();
  }

  #reviewPairs(usable: ReadonlySet<string>): void {
    for (const [deviceId, { key, relayed }] of this.#pairs) {
      if (this.#peers.get(deviceId)?.wireGuardKey === key) continue;
      relayed.close();
      this.#pairs.delete(deviceId);
    }
    const { homeRelayId, relayLatencies } = this.whereabouts;
    const own = standing(homeRelayId, relayLatencies);
    for (const peer of this.#peers.values()) {
      const pair = this.#options.demand === undefined ? this.#held(peer) : this.#pairWith(peer);
      if (pair === undefined) continue;
      const theirs = standing(peer.homeRelayId, peer.relayLatencies);
      // Before this device has a home it would meet at one that it leaves at once.
      const canMeet = pair.isForced && this.#shared.isSettled && own.home !== '';
      pair.meeting = canMeet ? meetingPoint(own, theirs, usable) : undefined;
    }
  }

  #held(peer: RelayPeer): Pair | undefined {
    const pair = this.#pairs.get(peer.deviceId);
    if (pair !== undefined) pair.peer = peer;
    return pair;
  }

  #pairWith(peer: RelayPeer): Pair {
    const held = this.#held(peer);
    if (held !== undefined) return held;
    const { clock, demand } = this.#options;
    const relayed = new RelayedPair({
      deviceId: peer.deviceId,
      wireGuardKey: parseWireGuardPublicKey(peer.wireGuardKey),
      demand: demand ?? 'any',
      links: this.#links,
      line: (relayId) => this.#lines.get(relayId),
      clock,
      onChange: () => this.#review(),
    });
    const pair: Pair = {
      relayed,
      key: peer.wireGuardKey,
      isForced: demand !== undefined,
      peer,
      invitation: undefined,
      meeting: undefined,
      invited: { place: '', atMs: -Infinity },
    };
    this.#pairs.set(peer.deviceId, pair);
    return pair;
  }

  #reviewLines(): void {
    const wanted = new Map<string, Map<string, SignedGrant>>();
    const { home, second } = this.#finder.choice;
    for (const relayId of [home, second]) if (relayId !== undefined) wanted.set(relayId, new Map());
    for (const pair of this.#pairs.values()) {
      const { deviceId, homeRelayId } = pair.peer;
      for (const relayId of pair.relayed.places(pair.meeting)) {
        const sessions = wanted.get(relayId) ?? new Map<string, SignedGrant>();
        const grant = this.#grants.pair(deviceId, relayId) ?? pair.invitation;
        if (grant !== undefined && this.#shared.isSettled) sessions.set(deviceId, grant);
        wanted.set(relayId, sessions);
      }
      // A peer is called through its home.
      const isCalled = pair.isForced && pair.meeting !== undefined && homeRelayId !== '';
      if (isCalled && !wanted.has(homeRelayId)) wanted.set(homeRelayId, new Map());
    }
    this.#lines.want(wanted, this.#finder.known);
  }

  #onGrants(): void {
    this.#lines.showPass();
    this.#review();
  }

  #pairRefused(peerId: string): void {
    this.#grants.dropPair(peerId);
    const pair = this.#pairs.get(peerId);
    if (pair === undefined) return;
    pair.invitation = undefined;
    pair.relayed.invitedTo.clear();
  }

  /** A peer's invitation: taken only from a peer in the tunnel, with the key that it has there. */
  #invited(grant: SignedGrant, relayId: string): void {
    const read = holdGrant(grant, this.#options.clock.now());
    const peerId = read?.deviceIds.find((deviceId) => deviceId !== this.#options.deviceId);
    const peer = this.#peers.get(peerId ?? '');
    const isOurs = read?.deviceIds.includes(this.#options.deviceId) === true;
    if (read === undefined || peer === undefined || !isOurs) return;
    if (!read.held.wireGuardKeys.has(peer.wireGuardKey)) return;
    if (!this.#finder.known.has(relayId)) return;
    const pair = this.#pairWith(peer);
    pair.invitation = grant;
    const { invitedTo } = pair.relayed;
    invitedTo.delete(relayId);
    for (const oldest of invitedTo) if (invitedTo.size >= MAX_INVITED) invitedTo.delete(oldest);
    invitedTo.add(relayId);
    this.#lines.get(relayId)?.notePeer(peer.deviceId);
    this.#review();
  }

  #invite(pair: Pair, nowMs: number): void {
    const { meeting, peer } = pair;
    const place = `${peer.homeRelayId} ${meeting}`;
    const { handshakeAtMs = -Infinity } = peer;
    const isTalking = this.#options.clock.now() - handshakeAtMs < SESSION_MS;
    const isSaid =
      pair.invited.place === place && (isTalking || nowMs - pair.invited.atMs < INVITE_MS);
    if (meeting === undefined || peer.homeRelayId === '' || isSaid) return;
    if (this.#lines.get(meeting)?.session(peer.deviceId) === undefined) return;
    const grant = this.#grants.pair(peer.deviceId, peer.homeRelayId);
    if (grant === undefined) return;
    const isTold = this.#lines.get(peer.homeRelayId)?.invite(grant, meeting) === true;
    if (isTold) pair.invited = { place, atMs: nowMs };
  }

  #receive(source: WireGuardPublicKey, packet: Uint8Array): void {
    const deviceId = this.#names.get(source) ?? this.#nameOf(source);
    if (deviceId !== undefined) this.#pairs.get(deviceId)?.relayed.receive(packet);
  }

  #nameOf(source: WireGuardPublicKey): string | undefined {
    const key = formatX25519PublicKey(source);
    for (const [deviceId, pair] of this.#pairs) {
      if (pair.key !== key) continue;
      this.#names.set(source, deviceId);
      return deviceId;
    }
    return undefined;
  }

  #retryUdp(nowMs: number): void {
    if (nowMs - this.#retriedUdpAtMs < RETRY_UDP_MS) return;
    this.#retriedUdpAtMs = nowMs;
    void this.#shared.renew();
    this.#lines.retryUdp();
  }

  #monotonicOf(atMs: number | undefined): number | undefined {
    const { clock } = this.#options;
    return atMs === undefined ? undefined : clock.monotonicMs() - (clock.now() - atMs);
  }

  #nextTimestamp(): bigint {
    const now = BigInt(this.#options.clock.now()) * MICROSECONDS;
    this.#lastTimestamp = now > this.#lastTimestamp ? now : this.#lastTimestamp + 1n;
    return this.#lastTimestamp;
  }

  #tellChange(): void {
    const { homeRelayId, relayLatencies } = this.whereabouts;
    const latencies = relayLatencies.map(({ relayId, roundTripUs }) => `${relayId} ${roundTripUs}`);
    const text = [homeRelayId, ...latencies, ...[...this.endpoints].flat()].join('\n');
    if (text === this.#said) return;
    this.#said = text;
    this.#options.onChange();
  }
}

const MAX_GRANT_RELAYS = 8;
const MICROSECONDS = 1_000n;

function standing(
  home: string,
  latencies: readonly RelayLatency[],
): { home: string; roundTrips: RoundTrips } {
  return { home, roundTrips: readAnnounced(latencies) };
}

function withReason(why: string, route: RelayRoute | undefined): string {
  return route === undefined || route.reason === '' ? why : `${why}; ${route.reason}`;
}

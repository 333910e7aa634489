/** A peer that is, or may be, reached through relays: its loopback socket, its lane, and where it is met. */
import type { Clock } from '@nexodus/clock';
import type { WireGuardPublicKey } from '@nexodus/wireguard';
import { chooseLane, type Lane, type RelayDemand } from './core/choose-lane.ts';
import { encodeLaneNotice, isOfOurs, readLaneNotice } from './core/lane-notice.ts';
import type { PeerLink, PeerLinks } from './peer-links.ts';
import type { RelayLine } from './relay-line.ts';

/** What a pair needs. */
export interface RelayedPairOptions {
  readonly deviceId: string;
  readonly wireGuardKey: WireGuardPublicKey;
  readonly demand: RelayDemand;
  readonly links: Pick<PeerLinks, 'open'>;
  readonly line: (relayId: string) => RelayLine | undefined;
  readonly clock: Clock;
  readonly onChange: () => void;
}

/** Where packets for the peer go. */
export interface RelayRoute {
  readonly relayId: string;
  readonly lane: Lane;
  /** For the tunnel. */
  readonly endpoint: string;
  /** Why it is not the UDP lane; empty where it is. */
  readonly reason: string;
}

/** A peer that was invited has come by then: two round trips to register. */
const PEER_THERE_MS = 300;

/** A peer that was not heard of gets as long: it hears of a draining relay or another home as this device does. */
const PEER_COMES_MS = 1_500;

/** The place that was left goes on for so long: for what the peer still sends there. */
const LEAVING_MS = 3_000;

/** The word that this side needs TLS is said so often, and holds for so long. */
const NOTICE_EARLY_MS = 1_000;
const NOTICE_MS = 15_000;
const NOTICE_EARLY_COUNT = 8;
const NOTICE_HOLDS_MS = 40_000;

/** After a link failed, another is tried. */
const LINK_PAUSE_MS = 5_000;

/** One peer. */
export class RelayedPair {
  readonly #options: RelayedPairOptions;
  /** Relays that the peer invited to. */
  readonly invitedTo = new Set<string>();
  #link: PeerLink | undefined;
  /** When a link may be opened, on the monotonic clock. */
  #linkAtMs = -Infinity;
  #isClosed = false;
  #route: RelayRoute | undefined;
  #relayId: string | undefined;
  #candidateSinceMs: number | undefined;
  #candidateId: string | undefined;
  #leaving: { readonly relayId: string; readonly untilMs: number } | undefined;
  #peerNeedsTlsUntilMs: number | undefined;
  #notice = { needsTls: false, saidAtMs: -Infinity, count: 0, relayId: '' };

  constructor(options: RelayedPairOptions) {
    this.#options = options;
    this.#openLink(options.clock.monotonicMs());
  }

  get wireGuardKey(): WireGuardPublicKey {
    return this.#options.wireGuardKey;
  }

  /** Where packets for the peer go, once that works. */
  get route(): RelayRoute | undefined {
    return this.#route;
  }

  /** The loopback socket's address. */
  get linkEndpoint(): string | undefined {
    return this.#link?.endpoint;
  }

  /** Relays where this device must be for the pair. */
  places(meeting: string | undefined): ReadonlySet<string> {
    const places = new Set(this.invitedTo);
    for (const place of [meeting, this.#relayId, this.#leaving?.relayId]) {
      if (place !== undefined) places.add(place);
    }
    return places;
  }

  /** Takes a packet from the TLS lane. */
  receive(packet: Uint8Array): void {
    if (!isOfOurs(packet)) {
      this.#link?.deliver(packet);
      return;
    }
    const notice = readLaneNotice(packet);
    if (notice === undefined) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#peerNeedsTlsUntilMs = notice.needsTls ? nowMs + NOTICE_HOLDS_MS : undefined;
    this.#options.onChange();
  }

  /**
   * Goes by the newest facts: moves to the meeting point when it works there, and not before as long as the place before
   * still works.
   */
  steer(meeting: string | undefined, handshakeAtMs: number | undefined): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#leaving !== undefined && nowMs >= this.#leaving.untilMs) this.#leaving = undefined;
    this.#openLink(nowMs);
    this.#move(meeting, { nowMs, handshakeAtMs });
    const { relayId } = { relayId: this.#relayId };
    this.#route =
      relayId === undefined ? undefined : this.#routeAt(relayId, { nowMs, handshakeAtMs });
    this.#tellPeer(nowMs);
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#link?.close();
  }

  #move(meeting: string | undefined, instant: Instant): void {
    const { line } = this.#options;
    const { nowMs } = instant;
    if (meeting === undefined || meeting === this.#relayId) {
      this.#candidateId = undefined;
      return;
    }
    if (this.#routeAt(meeting, instant) === undefined) return;
    if (this.#candidateId !== meeting) {
      this.#candidateId = meeting;
      this.#candidateSinceMs = nowMs;
    }
    const { deviceId } = this.#options;
    const waitedMs = nowMs - (this.#candidateSinceMs ?? nowMs);
    const isThere = line(meeting)?.isPeerThere(deviceId) === true;
    const neededMs = isThere ? PEER_THERE_MS : PEER_COMES_MS;
    const before = this.#relayId;
    const works = before !== undefined && line(before)?.session(deviceId) !== undefined;
    // A handshake that comes before the peer is there is repeated by WireGuard only after 5 s: the first one waits too.
    const isFirst = before === undefined;
    if ((works || isFirst) && waitedMs < neededMs) return;
    this.#leaving = works ? { relayId: before, untilMs: nowMs + LEAVING_MS } : undefined;
    this.#relayId = meeting;
    this.#candidateId = undefined;
  }

  #routeAt(relayId: string, { nowMs, handshakeAtMs }: Instant): RelayRoute | undefined {
    const { demand, deviceId, line: lineOf } = this.#options;
    const line = lineOf(relayId);
    const session = line?.session(deviceId);
    if (line === undefined || session === undefined) return undefined;
    const { lane, reason } = chooseLane({
      demand,
      udp: session.udp.standing,
      peerNeedsTlsUntilMs: this.#peerNeedsTlsUntilMs,
      handshakeAtMs,
      nowMs,
    });
    const endpoint = lane === 'udp' ? session.udp.address : this.#link?.endpoint;
    if (lane === undefined || endpoint === undefined) return undefined;
    if (lane === 'tls' && !line.isTlsOpen) return undefined;
    return { relayId, lane, endpoint, reason };
  }

  /** Only over the TLS lane does the peer hear that this side has no other. */
  #tellPeer(nowMs: number): void {
    const { demand, deviceId, line, wireGuardKey } = this.#options;
    const relayId = this.#relayId ?? [...this.invitedTo][0];
    const session = relayId === undefined ? undefined : line(relayId)?.session(deviceId);
    if (relayId === undefined || session === undefined) return;
    const { needsTls } = chooseLane({
      demand,
      udp: session.udp.standing,
      peerNeedsTlsUntilMs: undefined,
      handshakeAtMs: undefined,
      nowMs,
    });
    const said = this.#notice;
    const isNews = needsTls !== said.needsTls || (needsTls && relayId !== said.relayId);
    const pauseMs = said.count < NOTICE_EARLY_COUNT ? NOTICE_EARLY_MS : NOTICE_MS;
    if (!isNews && (!needsTls || nowMs - said.saidAtMs < pauseMs)) return;
    if (line(relayId)?.send(wireGuardKey, encodeLaneNotice(needsTls)) !== true) return;
    this.#notice = { needsTls, saidAtMs: nowMs, count: isNews ? 1 : said.count + 1, relayId };
  }

  /** Opens a link where there is none and none is on its way. */
  #openLink(nowMs: number): void {
    const { demand, links, onChange, wireGuardKey } = this.#options;
    if (demand === 'udp' || nowMs < this.#linkAtMs) return;
    this.#linkAtMs = Infinity;
    const none = (): void => {
      this.#link = undefined;
      this.#linkAtMs = this.#options.clock.monotonicMs() + LINK_PAUSE_MS;
      onChange();
    };
    const opened = (link: PeerLink): void => {
      if (this.#isClosed) link.close();
      else this.#link = link;
      onChange();
    };
    links
      .open({ onDatagram: (datagram) => this.#send(wireGuardKey, datagram), onLost: none })
      .then(opened, none);
  }

  #send(destination: WireGuardPublicKey, datagram: Uint8Array): void {
    const { line } = this.#options;
    const places = [this.#relayId, ...this.invitedTo];
    for (const relayId of places) {
      if (relayId !== undefined && line(relayId)?.send(destination, datagram) === true) return;
    }
  }
}

interface Instant {
  readonly nowMs: number;
  readonly handshakeAtMs: number | undefined;
}

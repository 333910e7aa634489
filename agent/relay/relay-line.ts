/** Everything between this device and one relay: the attachment, the sessions of pairs there, and the TLS lane. */
import type { Clock } from '@nexodus/clock';
import type { SignedGrant } from '@nexodus/contracts/relay';
import { SessionEndReason, type SessionOpened } from '@nexodus/contracts/relay-session';
import type { DevicePrivateKey } from '@nexodus/device-identity';
import { RelayRegistrationKey } from '@nexodus/relay-registration';
import type { Logger } from '@nexodus/telemetry';
import type { WireGuardPrivateKey, WireGuardPublicKey } from '@nexodus/wireguard';
import type { KnownRelay } from './core/relay-directory.ts';
import { type DerpLine, openDerpLine } from './derp-line.ts';
import type { PortSocket } from './port-socket.ts';
import {
  type AttachmentState,
  openRelayAttachment,
  type RelayAccess,
  type RelayAttachment,
  type RelayWord,
} from './relay-attachment.ts';
import { UdpRegistration } from './udp-registration.ts';

/** What all lines of a device share. */
export interface RelayLineFrame {
  readonly access: RelayAccess;
  readonly deviceKey: DevicePrivateKey;
  readonly wireGuardKey: WireGuardPrivateKey;
  /** Sockets that look like the tunnel's port; undefined where this machine cannot have such. */
  readonly portSocket: () => PortSocket | undefined;
  readonly usesTls: boolean;
  readonly usesUdp: boolean;
  readonly nextTimestamp: () => bigint;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
}

/** What a line tells its owner. None of these may throw. */
export interface RelayLineListener {
  readonly pass: (relayId: string) => SignedGrant | undefined;
  readonly onPassRefused: () => void;
  /** Something about this line is different: look at it again. */
  readonly onChange: () => void;
  /** A peer wants to meet at a relay, this one or another. */
  readonly onInvited: (grant: SignedGrant, relayId: string) => void;
  /** The relay does not take the pair's grant any more. */
  readonly onPairRefused: (peerId: string) => void;
  readonly onPacket: (source: WireGuardPublicKey, packet: Uint8Array) => void;
  /** The relay says that a peer with which it has a session sent this. */
  readonly onSignal: (peerId: string, sealed: Uint8Array) => void;
}

/** A session of a pair at one relay. */
export interface LineSession {
  readonly sessionId: bigint;
  readonly udp: UdpRegistration;
  readonly openedAtMs: number;
}

interface WantedSession {
  readonly grant: SignedGrant;
  /** Whether the peer was heard to have opened it. */
  isPeerThere: boolean;
  session: LineSession | undefined;
  /** The grant that the relay was shown last. */
  shown: SignedGrant | undefined;
  /** After a refusal, when to ask again on the monotonic clock. */
  askAgainAtMs: number;
}

/** A relay that refused for want of room or because it stops is asked again so much later. */
const REFUSED_PAUSE_MS = 5_000;

const pairReasons: ReadonlySet<string> = new Set([
  'GRANT_INVALID',
  'GRANT_EXPIRED',
  'GRANT_REVOKED',
  'AUDIENCE_INVALID',
]);

/** A line to one relay, from its making to `close`. */
export class RelayLine {
  readonly relay: KnownRelay;
  readonly #frame: RelayLineFrame;
  readonly #listener: RelayLineListener;
  readonly #attachment: RelayAttachment;
  /** By the peer's device id. */
  readonly #sessions = new Map<string, WantedSession>();
  #derp: DerpLine | undefined;
  #isDraining = false;

  constructor(relay: KnownRelay, frame: RelayLineFrame, listener: RelayLineListener) {
    this.relay = relay;
    this.#frame = frame;
    this.#listener = listener;
    this.#attachment = openRelayAttachment({
      relay,
      ...frame,
      pass: () => listener.pass(relay.relayId),
      onState: () => this.#onState(),
      onWord: (word) => this.#hear(word),
      onPassRefused: listener.onPassRefused,
    });
  }

  get state(): AttachmentState {
    return this.#attachment.state;
  }

  get roundTripMs(): number | undefined {
    return this.#attachment.roundTripMs;
  }

  /** Whether the relay asked its devices to leave. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  get isTlsOpen(): boolean {
    return this.#derp?.isOpen ?? false;
  }

  /** The session with a peer, once it is open. */
  session(peerId: string): LineSession | undefined {
    return this.#sessions.get(peerId)?.session;
  }

  /** Whether the peer is known to have opened its side before this one. */
  isPeerThere(peerId: string): boolean {
    return this.#sessions.get(peerId)?.isPeerThere ?? false;
  }

  /** Has sessions with exactly these peers, with the newest grants. */
  want(grants: ReadonlyMap<string, SignedGrant>): void {
    for (const peerId of this.#sessions.keys()) if (!grants.has(peerId)) this.#drop(peerId);
    for (const [peerId, grant] of grants) {
      const known = this.#sessions.get(peerId);
      if (known?.grant === grant) this.#ask(known);
      else {
        const fresh = { isPeerThere: false, session: undefined, shown: undefined };
        const wanted = { askAgainAtMs: -Infinity, ...fresh, ...known, grant };
        this.#sessions.set(peerId, wanted);
        this.#ask(wanted);
      }
    }
    this.#attachment.watch(grants.size > 0);
    this.#keepDerp();
  }

  /** Notes that a peer invited to this relay, and so is there. */
  notePeer(peerId: string): void {
    const wanted = this.#sessions.get(peerId);
    if (wanted !== undefined && wanted.session === undefined) wanted.isPeerThere = true;
  }

  /** Asks a peer that is attached here to another relay. */
  invite(grant: SignedGrant, relayId: string): boolean {
    return this.#attachment.say({ $case: 'invite', value: { grant, relayId } });
  }

  /** Sends over the TLS lane. */
  send(destination: WireGuardPublicKey, packet: Uint8Array): boolean {
    return this.#derp?.send(destination, packet) ?? false;
  }

  /** Hands the relay a sealed signal for a peer; false where there is no session with it now. It may be lost. */
  sendSignal(peerId: string, sealed: Uint8Array): boolean {
    const session = this.session(peerId);
    if (session === undefined) return false;
    const value = { sessionId: session.sessionId, sealed: Buffer.from(sealed) };
    return this.#attachment.say({ $case: 'signal', value });
  }

  /** There is a newer pass. */
  showPass(): void {
    this.#attachment.showPass();
  }

  /** The network changed: what was learnt of it is doubtful. */
  hurry(): void {
    this.#attachment.hurry();
    for (const { session } of this.#sessions.values()) {
      session?.udp.again();
      session?.udp.retry();
    }
  }

  /** Tries the UDP lane again where it had been given up. */
  retryUdp(): void {
    for (const { session } of this.#sessions.values()) session?.udp.retry();
  }

  /** Ends the line. Sessions that are kept go on at the relay without this process, until they are idle. */
  close({ keepsSessions }: { readonly keepsSessions: boolean }): void {
    for (const [peerId, wanted] of this.#sessions) {
      if (keepsSessions) this.#forget(wanted);
      else this.#drop(peerId);
    }
    this.#sessions.clear();
    this.#derp?.close();
    this.#derp = undefined;
    this.#attachment.close();
  }

  #onState(): void {
    const isAttached = this.#attachment.state === 'attached';
    if (isAttached) this.#isDraining = false;
    for (const wanted of this.#sessions.values()) {
      wanted.shown = undefined;
      if (isAttached) this.#ask(wanted);
      else this.#forget(wanted);
    }
    this.#keepDerp();
    this.#listener.onChange();
  }

  /** The connection of the TLS lane is kept while there are sessions: a peer may need it at any time. */
  #keepDerp(): void {
    const { frame, relay } = { frame: this.#frame, relay: this.relay };
    const isAttached = this.#attachment.state === 'attached';
    const isWanted = frame.usesTls && isAttached && this.#sessions.size > 0;
    if (!isWanted) {
      this.#derp?.close();
      this.#derp = undefined;
      return;
    }
    this.#derp ??= openDerpLine({
      relay,
      ...frame,
      privateKey: frame.wireGuardKey,
      onPacket: this.#listener.onPacket,
      onState: this.#listener.onChange,
    });
  }

  #ask(wanted: WantedSession): void {
    const isDue = this.#frame.clock.monotonicMs() >= wanted.askAgainAtMs;
    if (wanted.shown === wanted.grant || !isDue) return;
    const { grant } = wanted;
    if (this.#attachment.say({ $case: 'openSession', value: { grant } })) wanted.shown = grant;
  }

  #drop(peerId: string): void {
    const wanted = this.#sessions.get(peerId);
    const sessionId = wanted?.session?.sessionId;
    if (sessionId !== undefined) {
      this.#attachment.say({ $case: 'closeSession', value: { sessionId } });
    }
    if (wanted !== undefined) this.#forget(wanted);
    this.#sessions.delete(peerId);
  }

  #forget(wanted: WantedSession): void {
    wanted.session?.udp.close();
    wanted.session = undefined;
    wanted.isPeerThere = false;
  }

  #hear(word: RelayWord): void {
    switch (word.$case) {
      case 'sessionOpened':
        this.#opened(word.value);
        break;
      case 'sessionRefused':
        this.#refused(word.value.reason);
        break;
      case 'sessionEnded':
        this.#ended(word.value.sessionId, word.value.reason);
        break;
      case 'invited': {
        const { grant, relayId } = word.value;
        if (grant !== undefined) this.#listener.onInvited(grant, relayId);
        return;
      }
      case 'signalled': {
        const { sealed, sessionId } = word.value;
        const from = this.#find(sessionId);
        if (from !== undefined) this.#listener.onSignal(from.peerId, sealed);
        return;
      }
      case 'registerNow':
        this.#find(word.value.sessionId)?.wanted.session?.udp.again();
        return;
      case 'draining':
        this.#isDraining = true;
        break;
    }
    this.#listener.onChange();
  }

  #opened(opened: SessionOpened): void {
    const wanted = this.#sessions.get(opened.peerDeviceId);
    const isSound = opened.registrationKey.length === KEY_BYTES && opened.side <= 1;
    if (wanted === undefined || !isSound) return;
    const addresses = this.#frame.usesUdp ? opened.udpAddresses : [];
    const held = wanted.session;
    const isSame =
      held?.sessionId === opened.sessionId && held.udp.addresses.join() === addresses.join();
    if (isSame) return;
    held?.udp.close();
    const portSocket = this.#frame.portSocket();
    const { clock, random, nextTimestamp } = this.#frame;
    const udp = new UdpRegistration({
      sessionId: opened.sessionId,
      side: opened.side === 0 ? 0 : 1,
      key: RelayRegistrationKey.fromBytes(opened.registrationKey),
      addresses,
      send: portSocket?.send,
      nextTimestamp,
      clock,
      random,
      onState: this.#listener.onChange,
    });
    const openedAtMs = clock.monotonicMs();
    wanted.session = { sessionId: opened.sessionId, udp, openedAtMs };
  }

  /** A refusal names a grant at best; all that wait for an answer are asked for again after a pause. */
  #refused(reason: string): void {
    const askAgainAtMs = this.#frame.clock.monotonicMs() + REFUSED_PAUSE_MS;
    for (const [peerId, wanted] of this.#sessions) {
      if (wanted.session !== undefined || wanted.shown === undefined) continue;
      wanted.shown = undefined;
      wanted.askAgainAtMs = askAgainAtMs;
      if (pairReasons.has(reason)) this.#listener.onPairRefused(peerId);
    }
    if (reason === 'RELAY_DRAINING') this.#isDraining = true;
  }

  #ended(sessionId: bigint, reason: SessionEndReason): void {
    const found = this.#find(sessionId);
    if (found === undefined) return;
    this.#forget(found.wanted);
    found.wanted.shown = undefined;
    const isOver = reason === SessionEndReason.REVOKED || reason === SessionEndReason.EXPIRED;
    if (isOver) this.#listener.onPairRefused(found.peerId);
    else if (reason === SessionEndReason.QUOTA) {
      found.wanted.askAgainAtMs = this.#frame.clock.monotonicMs() + REFUSED_PAUSE_MS;
    }
  }

  #find(sessionId: bigint): { peerId: string; wanted: WantedSession } | undefined {
    for (const [peerId, wanted] of this.#sessions) {
      if (wanted.session?.sessionId === sessionId) return { peerId, wanted };
    }
    return undefined;
  }

  /** Takes a datagram that came from an address of one of the sessions; false when it is of none. */
  receive(from: string, datagram: Uint8Array): boolean {
    for (const { session } of this.#sessions.values()) {
      if (session?.udp.addresses.includes(from) !== true) continue;
      session.udp.receive(datagram);
      return true;
    }
    return false;
  }
}

const KEY_BYTES = 32;

/**
 * Who is attached to this relay, and which pairs have a session here.
 *
 * A device attaches with its pass and opens sessions with grants of pairs. Sessions outlive a broken attachment: they
 * end when they are closed by both sides or unused, when their grant ends, or when the control plane revokes it.
 */
import type { Clock } from '@nexodus/clock';
import type { GrantPayload, SignedGrant } from '@nexodus/contracts/relay';
import { SessionEndReason } from '@nexodus/contracts/relay-session';
import { RelayRegistrationKey, type SessionSide } from '@nexodus/relay-registration';
import type { GrantVerdict } from '@nexodus/relay-grant';
import { RpcError, Status, unauthenticated } from '@nexodus/rpc';
import { LaneUse, type UseLimits } from '../core/lane-use.ts';
import { type BucketLimit, TokenBucket } from '../core/token-bucket.ts';
import type { CarryVerdict } from '../tls-lane/tls-lane.ts';
import { type Attachment, Attachments, type DeviceLine, keyText } from './attachments.ts';
import { isSamePair, type PairSession, PairSessions, sideOf } from './pair-sessions.ts';
import { placeSession } from './place-session.ts';
import { SIGNAL_LIMIT, SignalPost } from './signal-post.ts';
import type { UdpLane, UdpLaneEnd, UdpLaneEvents } from '../udp-lane/udp-lane.ts';

/** Bounds of a relay. */
export interface HubLimits {
  /** Devices that may be attached. */
  readonly attachments: number;
  /** Sessions in all. */
  readonly sessions: number;
  /** Sessions of one organization. */
  readonly sessionsPerTenant: number;
  /** Sessions of one device. */
  readonly sessionsPerDevice: number;
  /** What a session may carry in each of the lanes. */
  readonly session: UseLimits;
}

/** What the hub works with. */
export interface SessionHubOptions {
  readonly relayId: string;
  readonly limits: HubLimits;
  readonly udpLane: Pick<UdpLane, 'close' | 'drain' | 'open'>;
  readonly tlsLane: {
    /** Cuts a device off. */
    disconnect(key: Uint8Array): void;
  };
  /** Checks a grant, for a pass (1) or a pair (2). */
  readonly verify: (signed: SignedGrant, devices: 1 | 2) => Promise<GrantVerdict>;
  /** What the control plane is asked to say when it holds no longer. */
  readonly follower: { follow(grant: GrantPayload): void; unfollow(grantId: string): void };
  /** 64 random bits that no other session has. */
  readonly newSessionId: () => bigint;
  readonly clock: Pick<Clock, 'monotonicMs' | 'now'>;
}

/** A session is in use in the TLS lane when packets came within this time: devices keep it warm every 15 to 20 s. */
const TLS_ACTIVE_MS = 60_000;

/** A session that only the TLS lane carries ends after so long without a packet, as in the UDP lane. */
const IDLE_MS = 300_000;

/** What a device may ask: all its sessions at once when it comes back, then what changes bring. */
const REQUEST_LIMIT: BucketLimit = { ratePerSecond: 20, burst: 600 };

/** An invitation is not queued behind so many messages: those who invite must not end the stream of whom they invite. */
const MOST_WAITING_INVITED = 512;

/** The sessions of a relay. */
export class SessionHub implements Pick<UdpLaneEvents, 'ended' | 'roamed'> {
  /** Passes signals on between the sides of a session. */
  readonly signals: SignalPost;
  readonly #options: SessionHubOptions;
  readonly #attachments = new Attachments();
  readonly #sessions = new PairSessions();
  /** Grants that hold no longer, with their end in seconds since 1970. */
  readonly #revoked = new Map<string, bigint>();
  #isDraining = false;

  constructor(options: SessionHubOptions) {
    this.#options = options;
    const { clock } = options;
    const [attachments, sessions] = [this.#attachments, this.#sessions];
    this.signals = new SignalPost({ attachments, sessions, clock });
  }

  /** What the hub holds. */
  get counts(): { readonly attachments: number; readonly sessions: number } {
    return { attachments: this.#attachments.size, sessions: this.#sessions.size };
  }

  /** Whether new sessions are refused because the relay stops soon. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Whether an attached device has this WireGuard key. */
  admits(key: Uint8Array): boolean {
    return this.#attachments.withKey(key) !== undefined;
  }

  /** Whether there is a session of the devices with these WireGuard keys. */
  mayForward(from: Uint8Array, to: Uint8Array): boolean {
    return this.#sessions.ofKeys(from, to) !== undefined;
  }

  /** Counts bytes that the first device sends to the second in the TLS lane, where they may pass. */
  carry(from: Uint8Array, to: Uint8Array, bytes: number): CarryVerdict {
    const found = this.#sessions.ofKeys(from, to);
    if (found === undefined) return 'refused';
    const { session, side } = found;
    const verdict = session.tls.take(side, bytes, this.#options.clock.monotonicMs());
    if (verdict !== 'spent') return verdict;
    this.#endSpent(session);
    return 'refused';
  }

  /**
   * Attaches a device whose proof was checked.
   *
   * @throws {RpcError} UNAVAILABLE with reason RELAY_DRAINING, RESOURCE_EXHAUSTED with reason RELAY_FULL
   */
  attach(pass: GrantPayload, line: DeviceLine): Attachment {
    const [device] = pass.devices;
    if (device === undefined) throw new Error('a pass names a device');
    if (this.#isDraining) throw drainingError();
    if (this.#revoked.has(pass.grantId)) throw revokedError();
    const isNew = this.#attachments.get(device.deviceId) === undefined;
    if (isNew && this.#attachments.size >= this.#options.limits.attachments) throw fullError();
    const attachment: Attachment = {
      deviceId: device.deviceId,
      organizationId: pass.organizationId,
      vpcId: pass.vpcId,
      keyText: keyText(device.wireguardPublicKey),
      line,
      signals: new TokenBucket(SIGNAL_LIMIT),
      requests: new TokenBucket(REQUEST_LIMIT),
      pass,
    };
    const before = this.#attachments.add(attachment);
    this.#options.follower.follow(pass);
    if (before !== undefined) {
      this.#options.follower.unfollow(before.pass.grantId);
      before.line.end(unauthenticated('REPLACED', 'a newer attachment of this device exists'));
    }
    return attachment;
  }

  /** Takes a newer pass of an attached device; one of another device or other keys ends the attachment. */
  renew(attachment: Attachment, pass: GrantPayload): void {
    const [device] = pass.devices;
    const isSame =
      device?.deviceId === attachment.deviceId &&
      keyText(device.wireguardPublicKey) === attachment.keyText;
    if (!isSame) {
      attachment.line.end(unauthenticated('GRANT_INVALID', 'the pass is another device’s'));
      return;
    }
    if (this.#revoked.has(pass.grantId)) {
      attachment.line.end(revokedError());
      return;
    }
    if (pass.grantId === attachment.pass.grantId) return;
    const { follower } = this.#options;
    follower.follow(pass);
    follower.unfollow(attachment.pass.grantId);
    this.#attachments.renew(attachment, pass);
  }

  /** The device's stream is over. Its sessions stay. */
  detach(attachment: Attachment): void {
    if (!this.#attachments.remove(attachment)) return;
    this.#options.follower.unfollow(attachment.pass.grantId);
    this.#options.tlsLane.disconnect(Buffer.from(attachment.keyText, 'latin1'));
  }

  /** Opens a session, or takes the other side of one, and answers the device. */
  async openSession(attachment: Attachment, signed: SignedGrant | undefined): Promise<void> {
    const verdict = await this.#verifyPair(attachment, signed);
    if ('refusal' in verdict) {
      const { grantId, refusal } = verdict;
      attachment.line.say({ $case: 'sessionRefused', value: { grantId, reason: refusal } });
      return;
    }
    const { grant, side } = verdict;
    const session = this.#sessionOf(grant);
    if (session === undefined) {
      const value = { grantId: grant.grantId, reason: 'SESSION_QUOTA' };
      attachment.line.say({ $case: 'sessionRefused', value });
      return;
    }
    const isNews = !session.isOpen[side];
    session.isOpen[side] = true;
    const place = await session.place;
    session.isPlaced = place !== undefined;
    if (this.#sessions.get(session.sessionId) !== session) return;
    this.#tellOpened(attachment, { session, side, addresses: place?.[side] ?? [] });
    const peer = this.#peerOf(session, side);
    if (isNews && peer !== undefined && !session.isOpen[otherSide(side)]) {
      const value = { grant: signed, relayId: this.#options.relayId };
      peer.line.offer({ $case: 'invited', value }, MOST_WAITING_INVITED);
    }
  }

  /** Ends a device's side of a session; the session ends with its last side. */
  closeSession(attachment: Attachment, sessionId: bigint): void {
    const session = this.#sessions.get(sessionId);
    const side = session === undefined ? undefined : sideOf(session.grant, attachment.deviceId);
    if (session === undefined || side === undefined) return;
    session.isOpen[side] = false;
    const other = this.#attachments.get(session.grant.devices[otherSide(side)]?.deviceId ?? '');
    if (!session.isOpen[otherSide(side)] || other === undefined) {
      this.#end(session, SessionEndReason.CLOSED);
    }
  }

  /** Passes an invitation on to a peer that is attached here. */
  async invite(
    attachment: Attachment,
    { grant: signed, relayId }: { grant: SignedGrant | undefined; relayId: string },
  ): Promise<void> {
    const verdict = await this.#verifyPair(attachment, signed);
    if ('refusal' in verdict) {
      const { grantId, refusal } = verdict;
      attachment.line.say({ $case: 'sessionRefused', value: { grantId, reason: refusal } });
      return;
    }
    const peerId = verdict.grant.devices[otherSide(verdict.side)]?.deviceId ?? '';
    const peer = this.#attachments.get(peerId);
    peer?.line.offer({ $case: 'invited', value: { grant: signed, relayId } }, MOST_WAITING_INVITED);
  }

  /** Ends all that the control plane revoked. */
  revoke(grantIds: readonly string[]): void {
    for (const grantId of grantIds) {
      const session = this.#sessions.withGrant(grantId);
      const attachment = this.#attachments.withPass(grantId);
      const grant = session?.grant ?? attachment?.pass;
      // Known grants alone are followed. Who shows it again must not have it heard anew.
      if (grant !== undefined) this.#revoked.set(grantId, grant.notAfterSeconds);
      if (session !== undefined) this.#end(session, SessionEndReason.REVOKED);
      if (attachment === undefined) continue;
      this.#endSessionsOf(attachment.deviceId);
      this.#dismiss(attachment, revokedError());
    }
  }

  /** Ends what reached its end by now. */
  expire(): void {
    const { clock } = this.#options;
    const nowSeconds = secondsOf(clock);
    const nowMs = clock.monotonicMs();
    this.#sessions.forget(nowSeconds);
    for (const [grantId, until] of this.#revoked)
      if (until <= nowSeconds) this.#revoked.delete(grantId);
    for (const session of this.#sessions) {
      if (session.grant.notAfterSeconds <= nowSeconds) this.#end(session, SessionEndReason.EXPIRED);
      else if (!session.isPlaced && !session.tls.isUsedWithin(IDLE_MS, nowMs))
        this.#end(session, SessionEndReason.IDLE);
    }
    for (const attachment of this.#attachments) {
      if (attachment.pass.notAfterSeconds > nowSeconds) continue;
      this.#dismiss(attachment, unauthenticated('GRANT_EXPIRED', 'the pass has ended: renew it'));
    }
  }

  /** The UDP lane gave a session up; it lives on while the TLS lane is used. */
  ended(sessionId: bigint, reason: UdpLaneEnd): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    if (reason === 'quota') this.#endSpent(session);
    else if (reason === 'expired') this.#end(session, SessionEndReason.EXPIRED);
    else if (!session.tls.isUsedWithin(TLS_ACTIVE_MS, this.#options.clock.monotonicMs()))
      this.#end(session, SessionEndReason.IDLE);
    else {
      session.place = Promise.resolve(undefined);
      session.isPlaced = false;
    }
  }

  /** The UDP lane lost all its sessions: devices open them anew. */
  lost(): void {
    for (const session of this.#sessions) this.#end(session, SessionEndReason.CLOSED);
  }

  /** The UDP lane hears a device from elsewhere. */
  roamed(sessionId: bigint, side: SessionSide): void {
    const session = this.#sessions.get(sessionId);
    const deviceId = session?.grant.devices[side]?.deviceId ?? '';
    this.#attachments.get(deviceId)?.line.say({ $case: 'registerNow', value: { sessionId } });
  }

  /** Takes nothing new from here on and asks all devices to leave until `untilMs` (milliseconds since 1970). */
  drain(untilMs: number): void {
    this.#isDraining = true;
    this.#options.udpLane.drain();
    const value = { untilMs: BigInt(untilMs) };
    for (const { line } of this.#attachments) line.say({ $case: 'draining', value });
  }

  /** Ends everything. */
  stop(): void {
    this.#isDraining = true;
    for (const session of this.#sessions) this.#end(session, SessionEndReason.CLOSED);
    for (const attachment of this.#attachments) this.#dismiss(attachment, drainingError());
  }

  async #verifyPair(
    attachment: Attachment,
    signed: SignedGrant | undefined,
  ): Promise<{ grant: GrantPayload; side: SessionSide } | { grantId: string; refusal: string }> {
    if (signed === undefined) return { grantId: '', refusal: 'GRANT_INVALID' };
    const verdict = await this.#options.verify(signed, 2);
    if (!verdict.ok) return { grantId: '', refusal: verdict.refusal };
    const { grant } = verdict;
    const isGone = !this.#attachments.has(attachment) || this.#revoked.has(grant.grantId);
    if (isGone) return { grantId: grant.grantId, refusal: 'GRANT_REVOKED' };
    const side = sideOf(grant, attachment.deviceId);
    const own = side === undefined ? undefined : grant.devices[side];
    const isOwn = own !== undefined && keyText(own.wireguardPublicKey) === attachment.keyText;
    const isSameVpc = grant.vpcId === attachment.vpcId;
    if (side === undefined || !isOwn || !isSameVpc) {
      return { grantId: grant.grantId, refusal: 'GRANT_INVALID' };
    }
    if (this.#isDraining && this.#sessions.ofPair(grant) === undefined) {
      return { grantId: grant.grantId, refusal: 'RELAY_DRAINING' };
    }
    return { grant, side };
  }

  /** The pair's session, renewed or new; undefined when there is no room. */
  #sessionOf(grant: GrantPayload): PairSession | undefined {
    const known = this.#sessions.ofPair(grant);
    if (known !== undefined && isSamePair(known.grant, grant)) {
      this.#renewSession(known, grant);
      return known;
    }
    if (known !== undefined) this.#end(known, SessionEndReason.REVOKED);
    const { clock, limits, follower } = this.#options;
    if (!this.#hasRoom(grant)) return undefined;
    const sessionId = this.#options.newSessionId();
    const keys = [RelayRegistrationKey.generate(), RelayRegistrationKey.generate()] as const;
    const place = this.#place({ sessionId, grant, keys });
    const session: PairSession = {
      sessionId,
      keys,
      isOpen: [false, false],
      grant,
      place,
      isPlaced: true,
      tls: new LaneUse(limits.session, clock.monotonicMs(), this.#sessions.usedBefore(grant)),
    };
    this.#sessions.add(session);
    follower.follow(grant);
    return session;
  }

  #hasRoom(grant: GrantPayload): boolean {
    const { devices, organizationId } = grant;
    const { sessions, sessionsPerDevice, sessionsPerTenant } = this.#options.limits;
    return (
      !this.#sessions.isBarred(grant, secondsOf(this.#options.clock)) &&
      this.#sessions.size < sessions &&
      this.#sessions.ofTenant(organizationId) < sessionsPerTenant &&
      devices.every(({ deviceId }) => this.#sessions.ofDevice(deviceId) < sessionsPerDevice)
    );
  }

  #renewSession(session: PairSession, grant: GrantPayload): void {
    if (grant.notAfterSeconds > session.grant.notAfterSeconds) {
      this.#options.follower.follow(grant);
      this.#options.follower.unfollow(session.grant.grantId);
      this.#sessions.renew(session, grant);
    }
    session.place = this.#place(session);
    session.isPlaced = true;
  }

  #place(session: Pick<PairSession, 'grant' | 'keys' | 'sessionId'>): PairSession['place'] {
    const { limits, udpLane } = this.#options;
    return placeSession(udpLane, session, limits.session);
  }

  #tellOpened(
    { line }: Attachment,
    opened: {
      readonly session: PairSession;
      readonly side: SessionSide;
      readonly addresses: readonly string[];
    },
  ): void {
    const { addresses, session, side } = opened;
    const { grant, keys, sessionId } = session;
    line.say({
      $case: 'sessionOpened',
      value: {
        grantId: grant.grantId,
        peerDeviceId: grant.devices[otherSide(side)]?.deviceId ?? '',
        sessionId,
        side,
        udpAddresses: [...addresses],
        registrationKey: Buffer.from(keys[side].exportBytes()),
        notAfterSeconds: grant.notAfterSeconds,
      },
    });
  }

  #peerOf({ grant }: PairSession, side: SessionSide): Attachment | undefined {
    return this.#attachments.get(grant.devices[otherSide(side)]?.deviceId ?? '');
  }

  #endSessionsOf(deviceId: string): void {
    for (const session of this.#sessions) {
      if (sideOf(session.grant, deviceId) !== undefined)
        this.#end(session, SessionEndReason.REVOKED);
    }
  }

  /** Its pair has carried what it may. */
  #endSpent(session: PairSession): void {
    this.#sessions.bar(session);
    this.#end(session, SessionEndReason.QUOTA);
  }

  #end(session: PairSession, reason: SessionEndReason): void {
    const { grant, sessionId } = session;
    this.#sessions.remove(session);
    if (Number.isFinite(this.#options.limits.session.quotaBytes)) this.#sessions.remember(session);
    this.#options.udpLane.close(sessionId);
    this.#options.follower.unfollow(grant.grantId);
    for (const { deviceId } of grant.devices) {
      const value = { sessionId, reason };
      this.#attachments.get(deviceId)?.line.say({ $case: 'sessionEnded', value });
    }
  }

  #dismiss(attachment: Attachment, error: RpcError): void {
    this.detach(attachment);
    attachment.line.end(error);
  }
}

function secondsOf(clock: Pick<Clock, 'now'>): bigint {
  return BigInt(Math.floor(clock.now() / 1_000));
}

function otherSide(side: SessionSide): SessionSide {
  return side === 0 ? 1 : 0;
}

function revokedError(): RpcError {
  return unauthenticated('GRANT_REVOKED', 'the pass was revoked');
}

function drainingError(): RpcError {
  return new RpcError(Status.UNAVAILABLE, 'this relay stops soon: use another', {
    reason: 'RELAY_DRAINING',
  });
}

function fullError(): RpcError {
  return new RpcError(Status.RESOURCE_EXHAUSTED, 'this relay is full: use another', {
    reason: 'RELAY_FULL',
  });
}

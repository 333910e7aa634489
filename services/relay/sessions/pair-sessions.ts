import type { GrantPayload } from '@nexodus/contracts/relay';
import type { RelayRegistrationKey, SessionSide } from '@nexodus/relay-registration';
import type { LaneUse } from '../core/lane-use.ts';
import type { UdpLanePlace } from '../udp-lane/udp-lane.ts';
import { keyText } from './attachments.ts';

/** A session of two devices. */
export interface PairSession {
  readonly sessionId: bigint;
  /** Registration keys by side. */
  readonly keys: readonly [RelayRegistrationKey, RelayRegistrationKey];
  /** Sides that opened it and did not close it. */
  readonly isOpen: [boolean, boolean];
  /** The newest grant. */
  grant: GrantPayload;
  /** Where the UDP lane carries it; undefined where it does not. */
  place: Promise<UdpLanePlace | undefined>;
  /** Whether the UDP lane carries it, or may yet. */
  isPlaced: boolean;
  /** What went through the TLS lane. */
  readonly tls: LaneUse;
}

/** Text that names a pair of devices. */
function pairText({ devices, vpcId }: GrantPayload): string {
  return [vpcId, ...devices.map(({ deviceId }) => deviceId)].join('/');
}

function keysText({ devices }: GrantPayload): string {
  return devices.map(({ wireguardPublicKey }) => keyText(wireguardPublicKey)).join('');
}

/** For each side: the keys of sender and receiver when it sends. */
function directions({ devices }: GrantPayload): readonly (readonly [SessionSide, string])[] {
  const [first = '', second = ''] = devices.map(({ wireguardPublicKey }) =>
    keyText(wireguardPublicKey),
  );
  return [
    [0, first + second],
    [1, second + first],
  ];
}

/** Whether both grants are for the same devices with the same keys. */
export function isSamePair(left: GrantPayload, right: GrantPayload): boolean {
  return pairText(left) === pairText(right) && keysText(left) === keysText(right);
}

/** Which side of a pair a device is; undefined for neither. */
export function sideOf(grant: GrantPayload, deviceId: string): SessionSide | undefined {
  const index = grant.devices.findIndex((device) => device.deviceId === deviceId);
  return index === 0 || index === 1 ? index : undefined;
}

/** The sessions of a relay: at most one for each pair. */
export class PairSessions {
  readonly #byId = new Map<bigint, PairSession>();
  readonly #byPair = new Map<string, PairSession>();
  readonly #byGrant = new Map<string, PairSession>();
  /** By the keys of sender and receiver. */
  readonly #byKeys = new Map<
    string,
    { readonly session: PairSession; readonly side: SessionSide }
  >();
  /** Pairs that get no new session, with the end of that in seconds since 1970. */
  readonly #barred = new Map<string, bigint>();
  /** What pairs carried in sessions that have ended, until their grants' ends. */
  readonly #used = new Map<string, { readonly bytes: number; readonly until: bigint }>();
  readonly #ofTenant = new Counts();
  readonly #ofDevice = new Counts();

  /** Number of sessions. */
  get size(): number {
    return this.#byId.size;
  }

  /** All of them. */
  [Symbol.iterator](): IterableIterator<PairSession> {
    return this.#byId.values();
  }

  /** A session by its id. */
  get(sessionId: bigint): PairSession | undefined {
    return this.#byId.get(sessionId);
  }

  /** The session of the pair that a grant names. */
  ofPair(grant: GrantPayload): PairSession | undefined {
    return this.#byPair.get(pairText(grant));
  }

  /** The session that a grant opened or renewed last. */
  withGrant(grantId: string): PairSession | undefined {
    return this.#byGrant.get(grantId);
  }

  /** The session in which the device with the first WireGuard key sends to that with the second, and the sender's side. */
  ofKeys(
    from: Uint8Array,
    to: Uint8Array,
  ): { readonly session: PairSession; readonly side: SessionSide } | undefined {
    return this.#byKeys.get(keyText(from) + keyText(to));
  }

  /** Number of sessions of an organization. */
  ofTenant(organizationId: string): number {
    return this.#ofTenant.get(organizationId);
  }

  /** Number of sessions of a device. */
  ofDevice(deviceId: string): number {
    return this.#ofDevice.get(deviceId);
  }

  /** Lets the pair of a session have no new one until the end of its grant. */
  bar({ grant }: PairSession): void {
    this.#barred.set(pairText(grant), grant.notAfterSeconds);
  }

  /** Whether the pair of a grant may have no session. */
  isBarred(grant: GrantPayload, nowSeconds: bigint): boolean {
    return (this.#barred.get(pairText(grant)) ?? nowSeconds) > nowSeconds;
  }

  /** Lets what a session carried count for the next one of its pair, until the end of its grant. */
  remember({ grant, tls }: PairSession): void {
    if (tls.bytes === 0) return;
    this.#used.set(pairText(grant), { bytes: tls.bytes, until: grant.notAfterSeconds });
  }

  /** Bytes that the pair of a grant carried before, as far as they count. */
  usedBefore(grant: GrantPayload): number {
    return this.#used.get(pairText(grant))?.bytes ?? 0;
  }

  /** Forgets what counted until now. */
  forget(nowSeconds: bigint): void {
    for (const [pair, until] of this.#barred) if (until <= nowSeconds) this.#barred.delete(pair);
    for (const [pair, { until }] of this.#used) if (until <= nowSeconds) this.#used.delete(pair);
  }

  /** Adds a session; its pair has none. */
  add(session: PairSession): void {
    const { grant, sessionId } = session;
    this.#byId.set(sessionId, session);
    this.#byPair.set(pairText(grant), session);
    this.#byGrant.set(grant.grantId, session);
    for (const [side, keys] of directions(grant)) this.#byKeys.set(keys, { session, side });
    this.#ofTenant.add(grant.organizationId, 1);
    for (const { deviceId } of grant.devices) this.#ofDevice.add(deviceId, 1);
  }

  /** Replaces the grant of a session by one for the same pair. */
  renew(session: PairSession, grant: GrantPayload): void {
    this.#byGrant.delete(session.grant.grantId);
    session.grant = grant;
    this.#byGrant.set(grant.grantId, session);
  }

  /** Removes a session. */
  remove({ grant, sessionId }: PairSession): void {
    this.#byId.delete(sessionId);
    this.#byPair.delete(pairText(grant));
    this.#byGrant.delete(grant.grantId);
    for (const [, keys] of directions(grant)) this.#byKeys.delete(keys);
    this.#ofTenant.add(grant.organizationId, -1);
    for (const { deviceId } of grant.devices) this.#ofDevice.add(deviceId, -1);
  }
}

/** Numbers by name; a name without one has 0. */
class Counts {
  readonly #counts = new Map<string, number>();

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string, change: 1 | -1): void {
    const count = this.get(name) + change;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
  }
}

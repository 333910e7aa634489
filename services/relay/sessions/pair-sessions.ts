import type { GrantPayload } from '@nexodus/contracts/relay';
import type { RelayRegistrationKey, SessionSide } from '@nexodus/relay-registration';
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
}

/** Text that names a pair of devices. */
function pairText({ devices, vpcId }: GrantPayload): string {
  return [vpcId, ...devices.map(({ deviceId }) => deviceId)].join('/');
}

function keysText({ devices }: GrantPayload): string {
  return devices.map(({ wireguardPublicKey }) => keyText(wireguardPublicKey)).join('');
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
  readonly #byKeys = new Map<string, PairSession>();
  readonly #perTenant = new Map<string, number>();

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

  /** Whether there is a session of the devices with these WireGuard keys. */
  joins(left: Uint8Array, right: Uint8Array): boolean {
    const [one, other] = [keyText(left), keyText(right)];
    return this.#byKeys.has(one + other) || this.#byKeys.has(other + one);
  }

  /** Number of sessions of an organization. */
  ofTenant(organizationId: string): number {
    return this.#perTenant.get(organizationId) ?? 0;
  }

  /** Adds a session; its pair has none. */
  add(session: PairSession): void {
    const { grant, sessionId } = session;
    this.#byId.set(sessionId, session);
    this.#byPair.set(pairText(grant), session);
    this.#byGrant.set(grant.grantId, session);
    this.#byKeys.set(keysText(grant), session);
    this.#perTenant.set(grant.organizationId, this.ofTenant(grant.organizationId) + 1);
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
    this.#byKeys.delete(keysText(grant));
    const left = this.ofTenant(grant.organizationId) - 1;
    if (left > 0) this.#perTenant.set(grant.organizationId, left);
    else this.#perTenant.delete(grant.organizationId);
  }
}

/**
 * The sessions of a lane: who has how many, when each ends, and what each carried. Time is a clock that never goes back.
 *
 * A session ends at its not-after, when nothing of either side was heard for the idle time, when its quota is used up,
 * or when it is closed. Ports divided by two is what a lane can carry; a tenant has a share of that, a device a number.
 */
import type { SessionSide } from '@nexodus/relay-registration';
import { type PortPair, PortPool, type PortRange } from './port-pool.ts';
import { TokenBucket } from './token-bucket.ts';

/** What a session may use. */
export interface SessionLimits {
  /** Bytes that it may carry in both directions together; Infinity for no end. */
  readonly quotaBytes: number;
  /** Bytes per second of each direction on average; Infinity for no limit. */
  readonly rateBytesPerSecond: number;
  /** When it ends at the latest. */
  readonly notAfterMs: number;
}

/** A session to open. */
export interface SessionRequest extends SessionLimits {
  readonly id: bigint;
  readonly tenant: string;
  readonly devices: readonly [string, string];
}

/** Why there is no room. */
export type Exhausted = 'ports' | 'tenant' | 'device' | 'draining';

/** Why a session ended. */
export type EndReason = 'expired' | 'idle' | 'quota' | 'closed';

/** An open session and its counters. */
export interface Session {
  readonly id: bigint;
  readonly ports: PortPair;
  readonly tenant: string;
  readonly devices: readonly [string, string];
  limits: SessionLimits;
  /** Bytes of datagrams that arrived from each side and were carried. */
  readonly carriedBytes: [number, number];
  heardAtMs: number;
  /** By side of arrival. */
  rates: readonly [TokenBucket, TokenBucket] | undefined;
}

/** The form of a table. */
export interface SessionTableOptions {
  readonly ports: PortRange;
  /** Sessions at most, where that is fewer than the ports allow; Infinity where they alone count. */
  readonly sessions: number;
  /** Share of the capacity that one tenant may have, above 0 and at most 1. At least one session. */
  readonly tenantShare: number;
  readonly sessionsPerDevice: number;
  readonly idleMs: number;
}

/** A second of traffic may pass at once, and at least this: offload hands over 64 KiB in one piece. */
const LEAST_BURST_BYTES = 262_144;

/** The sessions. */
export class SessionTable {
  readonly #options: SessionTableOptions;
  readonly #pool: PortPool;
  readonly #sessions = new Map<bigint, Session>();
  readonly #ofTenant = new Map<string, number>();
  readonly #ofDevice = new Map<string, number>();
  #isDraining = false;

  constructor(options: SessionTableOptions) {
    this.#options = options;
    this.#pool = new PortPool(options.ports);
  }

  get capacity(): number {
    return Math.min(this.#pool.capacity, this.#options.sessions);
  }

  get size(): number {
    return this.#sessions.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Takes no new session from now on; what is open goes on, and may be renewed. */
  drain(): void {
    this.#isDraining = true;
  }

  get(id: bigint): Session | undefined {
    return this.#sessions.get(id);
  }

  /** All sessions, in the order of their opening. */
  values(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Opens a session, or renews the limits of one that is open. */
  open(request: SessionRequest, nowMs: number): Session | Exhausted {
    const open = this.#sessions.get(request.id);
    if (open !== undefined) {
      setLimits(open, request);
      return open;
    }
    if (this.#isDraining) return 'draining';
    if (this.#isOverShare(request.tenant)) return 'tenant';
    if (request.devices.some((device) => this.#isOverNumber(device))) return 'device';
    const ports = this.size < this.capacity ? this.#pool.take() : undefined;
    if (ports === undefined) return 'ports';
    const session: Session = {
      id: request.id,
      ports,
      tenant: request.tenant,
      devices: request.devices,
      limits: request,
      carriedBytes: [0, 0],
      heardAtMs: nowMs,
      rates: undefined,
    };
    setLimits(session, request);
    this.#sessions.set(session.id, session);
    this.#count(session, 1);
    return session;
  }

  /** Gives a session, whose ports the system refused, others; undefined, and the session is gone, where there are none. */
  replacePorts(id: bigint): Session | undefined {
    const session = this.close(id);
    const ports = session && this.#pool.take();
    if (session === undefined || ports === undefined) return undefined;
    const replaced: Session = { ...session, ports };
    this.#sessions.set(id, replaced);
    this.#count(replaced, 1);
    return replaced;
  }

  /** Ends a session; its ports are free at once. */
  close(id: bigint): Session | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined) return undefined;
    this.#sessions.delete(id);
    this.#count(session, -1);
    this.#pool.give(session.ports);
    return session;
  }

  /** Asks whether a side may send so many bytes, and counts them if it may. */
  carry(
    session: Session,
    side: SessionSide,
    { bytes, nowMs }: { bytes: number; nowMs: number },
  ): boolean {
    if (session.rates?.[side].take(bytes, nowMs) === false) return false;
    this.carried(session, side, { bytes, nowMs });
    return true;
  }

  /** Counts what was carried elsewhere; nobody could be asked. */
  carried(
    session: Session,
    side: SessionSide,
    { bytes, nowMs }: { bytes: number; nowMs: number },
  ): void {
    session.carriedBytes[side] += bytes;
    session.heardAtMs = nowMs;
  }

  /** Notes that a device was heard that sent nothing to carry. */
  heard(session: Session, nowMs: number): void {
    session.heardAtMs = nowMs;
  }

  /** Whether a session has used up its quota. */
  isSpent({ carriedBytes, limits }: Session): boolean {
    return carriedBytes[0] + carriedBytes[1] >= limits.quotaBytes;
  }

  /** Sessions that are over, and why; they stay open until they are closed. */
  over(nowMs: number): { readonly session: Session; readonly reason: EndReason }[] {
    const over: { session: Session; reason: EndReason }[] = [];
    for (const session of this.#sessions.values()) {
      const reason = this.#endOf(session, nowMs);
      if (reason !== undefined) over.push({ session, reason });
    }
    return over;
  }

  #endOf(session: Session, nowMs: number): EndReason | undefined {
    if (nowMs >= session.limits.notAfterMs) return 'expired';
    if (this.isSpent(session)) return 'quota';
    return nowMs - session.heardAtMs >= this.#options.idleMs ? 'idle' : undefined;
  }

  #isOverShare(tenant: string): boolean {
    const share = Math.max(1, Math.floor(this.capacity * this.#options.tenantShare));
    return (this.#ofTenant.get(tenant) ?? 0) >= share;
  }

  #isOverNumber(device: string): boolean {
    return (this.#ofDevice.get(device) ?? 0) >= this.#options.sessionsPerDevice;
  }

  #count({ tenant, devices }: Session, change: 1 | -1): void {
    add(this.#ofTenant, tenant, change);
    for (const device of devices) add(this.#ofDevice, device, change);
  }
}

function setLimits(session: Session, limits: SessionLimits): void {
  const { quotaBytes, rateBytesPerSecond, notAfterMs } = limits;
  const isSameRate = session.limits.rateBytesPerSecond === rateBytesPerSecond;
  session.limits = { quotaBytes, rateBytesPerSecond, notAfterMs };
  if (!Number.isFinite(rateBytesPerSecond)) session.rates = undefined;
  else if (session.rates === undefined || !isSameRate) {
    const limit = { ratePerSecond: rateBytesPerSecond, burst: burstBytes(rateBytesPerSecond) };
    session.rates = [new TokenBucket(limit), new TokenBucket(limit)];
  }
}

/** Bytes that a session of this rate may carry at once. */
export function burstBytes(rateBytesPerSecond: number): number {
  return Math.max(LEAST_BURST_BYTES, rateBytesPerSecond);
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

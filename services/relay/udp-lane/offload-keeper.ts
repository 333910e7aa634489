import type { SessionSide } from '@nexodus/relay-registration';
import { addressKind, type IpAddress, ipAddressesEqual } from '@nexodus/netip';
import type { SessionTable } from '../core/session-table.ts';
import { flowOf, type LaneSession, nothingSeen, type SeenDirection } from './lane-session.ts';
import type { DirectionCount, KernelOffload } from './offload/kernel-offload.ts';

/** A new flow is looked at this often until a packet was seen to leave, and for so long. */
const FRESH_POLL_MS = 100;
const FRESH_MS = 5_000;
/** Every flow is looked at about this often while there are few. */
const POLL_MS = 1_000;
/** Many take turns: so many at a time, about 2 ms of work, at least so far apart. */
const FLOWS_PER_POLL = 20;
const LEAST_POLL_MS = 50;
/** All had a turn after this long, before admission takes a silent side for gone. */
const LONGEST_TURN_MS = 20_000;
/** So many flows in a row that the kernel did not carry mean that it carries none. */
const FAILURES_TO_GIVE_UP = 3;
/** Then it is tried again after this long: somebody may have mended a firewall. */
const RETRY_MS = 600_000;
/** Headers that the kernel counts: IP and UDP. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;

/** What a keeper works with. */
export interface OffloadKeeperOptions {
  readonly offload: KernelOffload;
  readonly table: SessionTable;
  /** The lane's own addresses. */
  readonly addresses: readonly IpAddress[];
  readonly onFailed: (reason: string) => void;
}

/**
 * Decides what the kernel carries, counts what it carried, and checks that it does: each new flow is watched until one
 * of its packets was seen on its way out, and all are looked at in turns. A flow goes back to the sockets when more than
 * half of what arrived since the last look did not leave.
 */
export class OffloadKeeper {
  readonly #options: OffloadKeeperOptions;
  readonly #fresh = new Set<LaneSession>();
  readonly #flows = new Set<LaneSession>();
  #failures = 0;
  #heldUntilMs = -Infinity;
  #nextFreshAtMs = Infinity;
  #nextTurnAtMs = Infinity;
  /** Payload bytes that the kernel carried. */
  carriedBytes = 0;

  constructor(options: OffloadKeeperOptions) {
    this.#options = options;
  }

  /** When `poll` is due; Infinity for never. */
  get nextPollAtMs(): number {
    return Math.min(this.#nextFreshAtMs, this.#nextTurnAtMs);
  }

  /** Makes the kernel know a session as it is: to be called when a side was locked or a limit changed. */
  update(session: LaneSession, nowMs: number): void {
    this.#leave(session, nowMs);
    const reason = this.#obstacle(session, nowMs);
    const flow = flowOf(session, reason === undefined);
    const isTaken = this.#options.offload.update(session.session.id, flow);
    if (reason !== undefined || !isTaken) {
      session.carriage = reason ?? 'refused';
      return;
    }
    session.carriage = 'kernel';
    session.flow = flow;
    session.offloadedAtMs = nowMs;
    session.seen.fill(nothingSeen);
    this.#fresh.add(session);
    this.#flows.add(session);
    this.#nextFreshAtMs = Math.min(this.#nextFreshAtMs, nowMs + FRESH_POLL_MS);
    this.#nextTurnAtMs = Math.min(this.#nextTurnAtMs, nowMs + POLL_MS);
  }

  /** Makes the kernel forget a session, counting what it carried last. */
  remove(session: LaneSession, nowMs: number): void {
    this.#leave(session, nowMs);
    this.#options.offload.update(session.session.id, undefined);
  }

  /** Looks at the flows whose turn it is. */
  poll(nowMs: number): void {
    if (nowMs >= this.#nextFreshAtMs) {
      for (const session of [...this.#fresh].slice(0, FLOWS_PER_POLL)) this.#look(session, nowMs);
      this.#nextFreshAtMs = this.#fresh.size === 0 ? Infinity : nowMs + FRESH_POLL_MS;
    }
    if (nowMs >= this.#nextTurnAtMs) {
      this.#leaveNarrow(nowMs);
      const atOnce = Math.max(
        FLOWS_PER_POLL,
        Math.ceil((this.#flows.size * LEAST_POLL_MS) / LONGEST_TURN_MS),
      );
      for (const session of this.#nextInTurn(atOnce)) this.#look(session, nowMs);
      const turns = Math.ceil(this.#flows.size / atOnce);
      this.#nextTurnAtMs =
        turns === 0 ? Infinity : nowMs + Math.max(LEAST_POLL_MS, POLL_MS / turns);
    }
  }

  /** Counts what the kernel carried of some sessions by now, of all where they are few. */
  countSome(nowMs: number): void {
    for (const session of this.#nextInTurn(FLOWS_PER_POLL)) this.#count(session, nowMs);
  }

  /** Counts what the kernel carried of a session by now. */
  #count(session: LaneSession, nowMs: number): readonly DirectionCount[] {
    const { offload, table } = this.#options;
    const { flow } = session;
    const counts = flow && offload.counters(flow);
    if (flow === undefined || counts === undefined) return [];
    for (const side of [0, 1] as const) {
      const bytes = payloadBytes(flow.sides[side].device?.address.family ?? 4, counts[side]);
      const more = bytes - session.counted[side];
      if (more > 0) this.#carried(session, side, { bytes: more, nowMs, table });
    }
    return counts;
  }

  #carried(
    session: LaneSession,
    side: SessionSide,
    { bytes, nowMs, table }: { bytes: number; nowMs: number; table: SessionTable },
  ): void {
    session.counted[side] += bytes;
    this.carriedBytes += bytes;
    table.carried(session.session, side, { bytes, nowMs });
    session.admission.heard(side, nowMs);
  }

  #look(session: LaneSession, nowMs: number): void {
    const counts = this.#count(session, nowMs);
    let isLost = false;
    for (const [side, { arrived, departed }] of counts.entries()) {
      const before = session.seen[side] ?? nothingSeen;
      const seen = { arrived: arrived.packets, departed: departed.packets };
      if (seen.departed > before.departed) this.#works(session);
      isLost ||= missing(seen) - missing(before) > (seen.arrived - before.arrived) / 2;
      session.seen[side] = seen;
    }
    if (nowMs - session.offloadedAtMs >= FRESH_MS) this.#fresh.delete(session);
    if (!isLost) return;
    this.#leaveNarrow(nowMs);
    if (session.flow !== undefined) this.#fail(session, nowMs);
  }

  #works(session: LaneSession): void {
    this.#failures = 0;
    this.#fresh.delete(session);
  }

  /** Flows whose turn it is; they are the last in the order then. */
  #nextInTurn(count: number): LaneSession[] {
    const next = [...this.#flows.values().take(count)];
    for (const session of next) {
      this.#flows.delete(session);
      this.#flows.add(session);
    }
    return next;
  }

  /** Gives flows that the kernel cannot fragment back to the sockets. */
  #leaveNarrow(nowMs: number): void {
    const ports = new Set(this.#options.offload.narrowPorts());
    if (ports.size === 0) return;
    for (const session of this.#flows) {
      if (!session.session.ports.some((port) => ports.has(port))) continue;
      session.failure = 'narrow';
      this.update(session, nowMs);
    }
  }

  #fail(session: LaneSession, nowMs: number): void {
    session.failure = 'refused';
    this.#failures += 1;
    this.update(session, nowMs);
    if (this.#failures < FAILURES_TO_GIVE_UP) return;
    this.#failures = 0;
    this.#heldUntilMs = nowMs + RETRY_MS;
    for (const other of this.#flows) this.update(other, nowMs);
    this.#options.onFailed(
      'packets that the kernel was to carry did not leave: a firewall drops them',
    );
  }

  #leave(session: LaneSession, nowMs: number): void {
    if (session.flow === undefined) return;
    this.#count(session, nowMs);
    this.#options.offload.update(session.session.id, undefined);
    session.flow = undefined;
    session.counted.fill(0);
    this.#fresh.delete(session);
    this.#flows.delete(session);
  }

  /** Why the kernel does not carry a session. */
  #obstacle(
    session: LaneSession,
    nowMs: number,
  ): Exclude<LaneSession['carriage'], 'kernel'> | undefined {
    const [first, second] = flowOf(session, false).sides.map(({ device }) => device?.address);
    if (first === undefined || second === undefined) return 'nobody';
    if (first.family !== second.family) return 'families';
    if (this.#isHere(first) || this.#isHere(second)) return 'refused';
    if (session.failure !== undefined) return session.failure;
    const { ipv4, ipv6 } = this.#options.offload.reasons;
    const reason = first.family === 4 ? ipv4 : ipv6;
    return nowMs < this.#heldUntilMs || reason !== undefined ? 'offload' : undefined;
  }

  /** Whether the device is on this machine or link, where nothing is routed. */
  #isHere(address: IpAddress): boolean {
    const kind = addressKind(address);
    if (kind === 'loopback' || kind === 'link-local') return true;
    return this.#options.addresses.some((own) => ipAddressesEqual(own, address));
  }
}

/** Packets that arrived and did not leave. Those that arrived between two reads are on the other side of the balance. */
function missing({ arrived, departed }: SeenDirection): number {
  return Math.max(0, arrived - departed);
}

/** The kernel counts an aggregate as one packet with one pair of headers. */
function payloadBytes(family: 4 | 6, { arrived }: DirectionCount): number {
  return arrived.bytes - arrived.packets * HEADER_BYTES[family];
}

import { RelayRegistrationKey } from '@nexodus/relay-registration';
import type { ReceivedBatch, UdpHandlers, UdpLoop } from '@nexodus/udp-batch';
import type { Mac1Verifier } from '@nexodus/wireguard';
import { Admission } from '../core/admission.ts';
import { type EndReason, SessionTable } from '../core/session-table.ts';
import type { AdmissionEvent } from '../core/verdict.ts';
import { DatagramCounts } from './datagram-counts.ts';
import { Forwarder } from './forwarder.ts';
import type { FromLane, LaneData, LaneOpening, ToLane } from './lane-messages.ts';
import { createLaneSession, type LaneSession } from './lane-session.ts';
import { handlesOf, openLaneSockets } from './lane-sockets.ts';
import type { OffloadKeeper } from './offload-keeper.ts';
import type { UdpLaneStatistics } from './udp-lane.ts';

/** What the program of a lane's thread is made of. */
export interface LaneProgramOptions {
  readonly loop: UdpLoop;
  readonly data: LaneData;
  readonly verifyMac1: Mac1Verifier;
  /** Makes the offload for the table of sessions; undefined where there is none. */
  readonly openOffload: (table: SessionTable, onFailed: (reason: string) => void) => LaneOffload;
}

/** The kernel's part, or why there is none. */
export interface LaneOffload {
  readonly keeper: OffloadKeeper | undefined;
  readonly reason: string | undefined;
  readonly prefiltered: () => { readonly junk: number; readonly rate: number };
}

/** Ends are looked for this often; what must end at an instant ends at most so much later. */
const TICK_MS = 250;
/** Ports that other programs have taken are passed over, so many in a row. */
const PORT_ATTEMPTS = 16;

/** A lane: sessions, their sockets, and what moves between them. Runs inside of a UdpLoop. */
export class LaneProgram implements UdpHandlers {
  readonly #options: LaneProgramOptions;
  readonly #loop: UdpLoop;
  readonly #table: SessionTable;
  readonly #sessions = new Map<bigint, LaneSession>();
  readonly #counts = new DatagramCounts();
  readonly #forwarder: Forwarder;
  readonly #offload: LaneOffload;
  #nextTickAtMs: number;
  /** Bytes of sessions that have ended, by whomever they were carried. */
  #endedBytes = 0;

  constructor(options: LaneProgramOptions) {
    const { loop, data } = options;
    this.#options = options;
    this.#loop = loop;
    this.#table = new SessionTable(data);
    this.#forwarder = new Forwarder({
      loop,
      table: this.#table,
      counts: this.#counts,
      onEvent: (session, event, nowMs) => this.#proven(session, event, nowMs),
    });
    this.#offload = options.openOffload(this.#table, (reason) =>
      this.#post({ kind: 'offload-failed', reason }),
    );
    this.#nextTickAtMs = loop.nowMs() + TICK_MS;
    this.#wake();
    this.#post({
      kind: 'started',
      capacity: this.#table.capacity,
      hasOffload: this.#offload.keeper !== undefined,
      offloadReason: this.#offload.reason,
    });
  }

  onBatch(batch: ReceivedBatch, nowMs: number): void {
    this.#forwarder.forward(batch, nowMs);
  }

  onMessage(message: unknown, nowMs: number): void {
    // The other end of the channel is worker-udp-lane.ts.
    const told = message as ToLane;
    switch (told.kind) {
      case 'open':
        return this.#open(told.opening, { request: told.request, nowMs });
      case 'close':
        return this.#end(told.sessionId, 'closed', nowMs);
      case 'drain':
        return this.#table.drain();
      case 'statistics':
        return this.#post({
          kind: 'statistics',
          request: told.request,
          statistics: this.#statistics(nowMs),
        });
    }
  }

  onDeadline(nowMs: number): void {
    const keeper = this.#offload.keeper;
    if (keeper !== undefined && nowMs >= keeper.nextPollAtMs) keeper.poll(nowMs);
    if (nowMs >= this.#nextTickAtMs) {
      this.#nextTickAtMs = nowMs + TICK_MS;
      for (const { session, reason } of this.#table.over(nowMs)) {
        this.#end(session.id, reason, nowMs);
      }
    }
    this.#wake();
  }

  #open(
    opening: LaneOpening,
    { request, nowMs }: { readonly request: number; readonly nowMs: number },
  ): void {
    const { sessionId, tenantId, devices, lifetimeMs, quotaBytes, rateBytesPerSecond } = opening;
    const opened = this.#table.open(
      {
        id: sessionId,
        tenant: tenantId,
        devices: [devices[0].name, devices[1].name],
        notAfterMs: nowMs + lifetimeMs,
        quotaBytes,
        rateBytesPerSecond,
      },
      nowMs,
    );
    if (typeof opened === 'string') {
      this.#post({ kind: 'opened', request, ports: undefined });
      return;
    }
    const known = this.#sessions.get(sessionId);
    if (known === undefined) {
      const session = createLaneSession(opened, this.#admissionOf(opening));
      session.waiting.push(request);
      this.#sessions.set(sessionId, session);
      this.#openSockets(session, PORT_ATTEMPTS);
    } else if (known.sockets === undefined) {
      known.waiting.push(request);
    } else {
      this.#offload.keeper?.update(known, nowMs);
      this.#wake();
      this.#post({ kind: 'opened', request, ports: opened.ports });
    }
  }

  #admissionOf({ sessionId, devices }: LaneOpening): Admission {
    const [first, second] = devices.map(({ mac1State, registrationKey }) => ({
      mac1State,
      registrationKey: RelayRegistrationKey.fromBytes(registrationKey),
    }));
    if (first === undefined || second === undefined) throw new RangeError('a pair has two devices');
    const { verifyMac1, data } = this.#options;
    return new Admission({
      sessionId,
      devices: [first, second],
      verifyMac1,
      limits: data.admission,
    });
  }

  #openSockets(session: LaneSession, attempts: number): void {
    const { id, ports } = session.session;
    const { addresses } = this.#options.data;
    openLaneSockets(this.#loop, { addresses, ports }, (sockets) => {
      if (this.#sessions.get(id) !== session) {
        for (const handle of handlesOf(sockets ?? [])) this.#loop.close(handle);
        return;
      }
      if (sockets !== undefined) {
        session.sockets = sockets;
        for (const side of [0, 1] as const) {
          for (const handle of handlesOf([sockets[side]])) {
            this.#forwarder.assign(handle, { session, side });
          }
        }
        this.#answerWaiting(session);
        return;
      }
      const replaced = attempts > 1 ? this.#table.replacePorts(id) : undefined;
      if (replaced === undefined) {
        this.#answerWaiting(session);
        this.#end(id, 'closed', this.#loop.nowMs());
      } else {
        session.session = replaced;
        this.#openSockets(session, attempts - 1);
      }
    });
  }

  #answerWaiting(session: LaneSession): void {
    const ports = session.sockets && session.session.ports;
    for (const request of session.waiting) this.#post({ kind: 'opened', request, ports });
    session.waiting.length = 0;
  }

  #end(sessionId: bigint, reason: EndReason, nowMs: number): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    this.#offload.keeper?.remove(session, nowMs);
    this.#sessions.delete(sessionId);
    this.#endedBytes += total(session);
    for (const handle of handlesOf(session.sockets ?? [])) {
      this.#forwarder.assign(handle, undefined);
      this.#loop.close(handle);
    }
    session.sockets = undefined;
    this.#answerWaiting(session);
    this.#table.close(sessionId);
    if (reason !== 'closed') this.#post({ kind: 'ended', sessionId, reason });
  }

  #proven(session: LaneSession, event: AdmissionEvent, nowMs: number): void {
    const sessionId = session.session.id;
    if (event.kind === 'roam-suspected') {
      this.#post({ kind: 'roamed', sessionId, side: event.side });
      return;
    }
    session.failure = undefined;
    const keeper = this.#offload.keeper;
    if (keeper === undefined) session.carriage = carriageWithoutOffload(session);
    else keeper.update(session, nowMs);
    this.#wake();
  }

  #statistics(nowMs: number): UdpLaneStatistics {
    const carriedBy = { kernel: 0, families: 0, narrow: 0, offload: 0, refused: 0 };
    let carried = this.#endedBytes;
    this.#offload.keeper?.countSome(nowMs);
    for (const session of this.#sessions.values()) {
      if (session.carriage !== 'nobody') carriedBy[session.carriage] += 1;
      carried += total(session);
    }
    const kernel = this.#offload.keeper?.carriedBytes ?? 0;
    return {
      capacity: this.#table.capacity,
      sessions: this.#table.size,
      carriedBy,
      carriedBytes: { kernel, sockets: carried - kernel },
      datagrams: this.#counts.snapshot(this.#loop.counters.unsent),
      prefiltered: this.#offload.prefiltered(),
    };
  }

  #wake(): void {
    const pollAtMs = this.#offload.keeper?.nextPollAtMs ?? Infinity;
    this.#loop.wakeAt(Math.min(this.#nextTickAtMs, pollAtMs));
  }

  #post(message: FromLane): void {
    this.#loop.post(message);
  }
}

function carriageWithoutOffload({ admission }: LaneSession): LaneSession['carriage'] {
  const [first, second] = [admission.lockedSource(0), admission.lockedSource(1)];
  if (first === undefined || second === undefined) return 'nobody';
  // The first byte of a raw socket address tells the family.
  return first[0] === second[0] ? 'offload' : 'families';
}

/** Bytes that a session carried. */
function total({ session }: LaneSession): number {
  return session.carriedBytes[0] + session.carriedBytes[1];
}

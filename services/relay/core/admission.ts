/**
 * Who may send through a session, decided without reading a packet.
 *
 * A session has two sides, each with a port of the relay and a device whose WireGuard public key the relay knows. A side
 * is **locked** to the one source that has proven to be the device, and only locked sides are sent anything that
 * matters. There are two proofs.
 *
 * A registration is authentic under a key that only the device has, and names the address it comes from, which it can
 * only have learned there.
 *
 * A handshake borrows WireGuard's own authentication. An initiation with a valid mac1 shows only that its sender knows
 * whom it addresses: its source becomes a candidate, with its index, and the initiation is carried on. A WireGuard
 * responder answers only a fresh initiation under a key it knows; so when the other side answers that index, the
 * candidate is the device and is locked. The responder, if it is not locked, has answered what was sent to it alone; the
 * first data that the initiator addresses to the index of that answer shows that the answer was authentic, and locks it.
 *
 * An initiation is carried at once or dropped, never kept for later: two initiations that cross leave both ends with
 * different sessions, and the tunnel carries one direction only. Until a side is locked its candidates get back at most
 * what they sent, and only initiations; nobody else ever gets anything.
 */
import {
  type Mac1State,
  type Mac1Verifier,
  type MessageView,
  INITIATION_BYTES,
  messageKind,
  receiverIndex,
  senderIndex,
} from '@nexodus/wireguard';
import {
  isRegistration,
  type RelayRegistrationKey,
  type SessionSide,
} from '@nexodus/relay-registration';
import type { AdmissionLimits } from './admission-limits.ts';
import { type AdmissionSide, createAdmissionSide } from './admission-side.ts';
import { copySource, isFrom, type Source, type SourceView } from './source.ts';
import type { AdmissionEvent, DropReason, Verdict } from './verdict.ts';

/** What the relay knows of the device at one side. */
export interface AdmissionDevice {
  /** Of the device's WireGuard public key. */
  readonly mac1State: Mac1State;
  readonly registrationKey: RelayRegistrationKey;
}

/** What a session's admission is made of. */
export interface AdmissionOptions {
  readonly sessionId: bigint;
  /** At index 0 the device of side 0. */
  readonly devices: readonly [AdmissionDevice, AdmissionDevice];
  readonly verifyMac1: Mac1Verifier;
  readonly limits: AdmissionLimits;
}

/** One datagram as it arrived; nothing of it is kept. */
export interface ArrivedDatagram extends MessageView {
  /** The side whose port it arrived at. */
  readonly side: SessionSide;
  readonly source: SourceView;
}

/** The admission of one session. Time is a clock that never goes back, the same for all calls. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #sides: readonly [AdmissionSide, AdmissionSide];

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const { sessionId, limits, devices } = options;
    const side = (index: SessionSide): AdmissionSide =>
      createAdmissionSide({ sessionId, side: index, device: devices[index], limits });
    this.#sides = [side(0), side(1)];
  }

  /** The source that a side is locked to. */
  lockedSource(side: SessionSide): Source | undefined {
    return this.#sides[side].locked;
  }

  /** Notes that the device of a side was heard where this object does not see it, such as in the kernel's counters. */
  heard(side: SessionSide, nowMs: number): void {
    this.#sides[side].heardAtMs = nowMs;
  }

  /**
   * Where data from `source` goes, without a look at what is in it: for whole aggregates of data messages. Undefined where
   * a closer look is needed: then each goes through `admit`.
   */
  dataDestination(side: SessionSide, source: SourceView, nowMs: number): Source | undefined {
    const from = this.#sides[side];
    const to = this.#other(side);
    if (to.answered !== undefined || !isFrom(from.locked, source)) return undefined;
    from.heardAtMs = nowMs;
    return to.locked;
  }

  /** Decides about one datagram. */
  admit(datagram: ArrivedDatagram, nowMs: number): Verdict {
    const kind = messageKind(datagram);
    switch (kind) {
      case 'data':
        return this.#data(datagram, nowMs);
      case 'initiation':
        return this.#initiation(datagram, nowMs);
      case 'response':
        return this.#response(datagram, nowMs);
      case 'cookieReply':
        return this.#cookieReply(datagram, nowMs);
      default:
        return this.#registration(datagram, nowMs);
    }
  }

  #initiation(datagram: ArrivedDatagram, nowMs: number): Verdict {
    const from = this.#sides[datagram.side];
    if (!this.#hasMac1OfOtherSide(datagram)) return drop('mac1');
    const index = senderIndex(datagram);
    if (isFrom(from.locked, datagram.source)) {
      if (!from.initiations.take(1, nowMs)) return drop('rate');
      from.lockedIndex = index;
      from.heardAtMs = nowMs;
    } else if (!from.candidates.note(datagram.source, index, { bytes: datagram.length, nowMs })) {
      return drop('rate');
    }
    const to = this.#other(datagram.side);
    const unproven = this.#isHeld(to, nowMs) ? [] : to.candidates.spend(INITIATION_BYTES, nowMs);
    return forward(to.locked === undefined ? unproven : [to.locked, ...unproven]);
  }

  #response(datagram: ArrivedDatagram, nowMs: number): Verdict {
    const from = this.#sides[datagram.side];
    const to = this.#other(datagram.side);
    const isLocked = isFrom(from.locked, datagram.source);
    if (!isLocked && !this.#mayAnswerUnproven(from, datagram.source, nowMs)) {
      return drop('unknown-source');
    }
    if (!this.#hasMac1OfOtherSide(datagram)) return drop('mac1');
    const index = receiverIndex(datagram, 'response');
    // Who is unproven itself proves nobody who would take the place of a lock that holds.
    const mayLock = to.lockedIndex !== index && (isLocked || !this.#isHeld(to, nowMs));
    const candidate = mayLock ? to.candidates.withIndex(index, nowMs) : undefined;
    // Between two locked sides a response passes though its initiation was not seen: it may have travelled unseen, at the
    // end of an aggregate of data.
    const isExpected = candidate !== undefined || to.lockedIndex === index || isLocked;
    if (!isExpected) return drop('no-initiation');
    const event =
      candidate && this.#lock(this.#otherSide(datagram.side), candidate.source, 'handshake', nowMs);
    if (candidate !== undefined) to.lockedIndex = index;
    from.receivesAt = senderIndex(datagram);
    to.receivesAt = index;
    if (isLocked) from.heardAtMs = nowMs;
    else from.answered = { source: copySource(datagram.source), index: from.receivesAt };
    return forward(to.locked === undefined ? [] : [to.locked], event);
  }

  #cookieReply(datagram: ArrivedDatagram, nowMs: number): Verdict {
    const from = this.#sides[datagram.side];
    const to = this.#other(datagram.side);
    if (!isFrom(from.locked, datagram.source)) return drop('unknown-source');
    from.heardAtMs = nowMs;
    const index = receiverIndex(datagram, 'cookieReply');
    if (to.locked !== undefined && to.lockedIndex === index) return forward([to.locked]);
    const candidate = to.candidates.withIndex(index, nowMs);
    if (candidate === undefined) return drop('no-initiation');
    if (candidate.creditBytes < datagram.length) return drop('rate');
    candidate.creditBytes -= datagram.length;
    return forward([candidate.source]);
  }

  #data(datagram: ArrivedDatagram, nowMs: number): Verdict {
    const from = this.#sides[datagram.side];
    const to = this.#other(datagram.side);
    const index = receiverIndex(datagram, 'data');
    if (!isFrom(from.locked, datagram.source)) {
      const event =
        from.locked !== undefined && index === to.receivesAt
          ? this.#suspectRoaming(datagram.side, nowMs)
          : undefined;
      return drop('unknown-source', event);
    }
    from.heardAtMs = nowMs;
    const { answered } = to;
    if (answered?.index === index) {
      const event = this.#lock(this.#otherSide(datagram.side), answered.source, 'data', nowMs);
      return forward([answered.source], event);
    }
    return forward(to.locked === undefined ? [] : [to.locked]);
  }

  #registration(datagram: ArrivedDatagram, nowMs: number): Verdict {
    const bytes = datagram.bytes.subarray(datagram.offset, datagram.offset + datagram.length);
    if (!isRegistration(bytes)) return drop('not-wireguard');
    const from = this.#sides[datagram.side];
    const result = from.desk.receive(bytes, datagram.source, nowMs);
    if ('refused' in result) return drop(result.refused);
    const wasLocked = isFrom(from.locked, datagram.source);
    if (wasLocked) from.heardAtMs = nowMs;
    const event =
      result.provesSource && !wasLocked
        ? this.#lock(datagram.side, copySource(datagram.source), 'registration', nowMs)
        : undefined;
    return { kind: 'answer', bytes: result.answer(wasLocked || result.provesSource), event };
  }

  #lock(
    side: SessionSide,
    source: Source,
    by: 'handshake' | 'data' | 'registration',
    nowMs: number,
  ): AdmissionEvent {
    const locked = this.#sides[side];
    const candidate = locked.candidates.at({ bytes: source, offset: 0 }, nowMs);
    locked.locked = source;
    locked.lockedIndex = candidate?.index;
    locked.heardAtMs = nowMs;
    locked.answered = undefined;
    if (candidate !== undefined) locked.candidates.remove(candidate.source);
    return { kind: 'locked', side, source, by };
  }

  /** Only what was sent an initiation may answer it: a candidate of a side that is not locked, or no longer heard. */
  #mayAnswerUnproven(side: AdmissionSide, source: SourceView, nowMs: number): boolean {
    return !this.#isHeld(side, nowMs) && side.candidates.at(source, nowMs) !== undefined;
  }

  /** Initiations and responses alike carry the mac1 of whom they are sent to. */
  #hasMac1OfOtherSide(datagram: ArrivedDatagram): boolean {
    const { mac1State } = this.#options.devices[this.#otherSide(datagram.side)];
    return this.#options.verifyMac1(mac1State, datagram);
  }

  #suspectRoaming(side: SessionSide, nowMs: number): AdmissionEvent | undefined {
    const suspected = this.#sides[side];
    if (nowMs - suspected.roamHintAtMs < this.#options.limits.roamHintMs) return undefined;
    suspected.roamHintAtMs = nowMs;
    return { kind: 'roam-suspected', side };
  }

  /** Whether a side is locked to a source that is still heard. */
  #isHeld({ locked, heardAtMs }: AdmissionSide, nowMs: number): boolean {
    return locked !== undefined && nowMs - heardAtMs < this.#options.limits.staleLockMs;
  }

  #other(side: SessionSide): AdmissionSide {
    return this.#sides[this.#otherSide(side)];
  }

  #otherSide(side: SessionSide): SessionSide {
    return side === 0 ? 1 : 0;
  }
}

function drop(reason: DropReason, event?: AdmissionEvent): Verdict {
  return { kind: 'drop', reason, event };
}

function forward(to: readonly Source[], event?: AdmissionEvent): Verdict {
  return to.length === 0 ? drop('no-destination', event) : { kind: 'forward', to, event };
}

import type { SessionSide } from '@nexodus/relay-registration';
import { SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import type { OutgoingDatagram, ReceivedBatch, UdpLoop } from '@nexodus/udp-batch';
import { SMALLEST_DATA_BYTES } from '@nexodus/wireguard';
import type { SessionTable } from '../core/session-table.ts';
import type { Source, SourceView } from '../core/source.ts';
import type { AdmissionEvent, Verdict } from '../core/verdict.ts';
import type { DatagramCounts } from './datagram-counts.ts';
import { type LaneSession, socketFor } from './lane-session.ts';

/** What a forwarder works with. */
export interface ForwarderOptions {
  readonly loop: UdpLoop;
  readonly table: SessionTable;
  readonly counts: DatagramCounts;
  /** A datagram proved something. */
  readonly onEvent: (session: LaneSession, event: AdmissionEvent, nowMs: number) => void;
}

/** A socket's place in a session. */
interface Port {
  readonly session: LaneSession;
  readonly side: SessionSide;
}

/** One of a batch: a datagram, or an aggregate of several. */
interface Piece {
  bytes: Uint8Array;
  view: DataView;
  offset: number;
  length: number;
  /** 0 for a single datagram. */
  segmentBytes: number;
  readonly source: { bytes: Uint8Array; offset: number };
}

/** First four bytes of a data message, read as a little-endian number. */
const DATA_HEADER = 4;

/**
 * Carries what arrives at the sockets of a lane. Aggregates of nothing but data travel on as they are; of others each
 * datagram is looked at by itself, because a handshake may come at the end of an aggregate.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #ports: (Port | undefined)[] = [];
  readonly #outgoing: OutgoingDatagram;
  readonly #piece: Piece;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    const nothing = new Uint8Array(SOCKET_ADDRESS_BYTES);
    this.#outgoing = {
      socket: -1,
      to: nothing,
      toOffset: 0,
      bytes: nothing,
      offset: 0,
      length: 0,
      segmentBytes: 0,
    };
    this.#piece = {
      bytes: nothing,
      view: new DataView(nothing.buffer),
      offset: 0,
      length: 0,
      segmentBytes: 0,
      source: { bytes: nothing, offset: 0 },
    };
  }

  /** What arrives at a socket belongs to this side of this session from now on; undefined: to none. */
  assign(socket: number, port: Port | undefined): void {
    this.#ports[socket] = port;
  }

  /** Carries a batch. */
  forward(batch: ReceivedBatch, nowMs: number): void {
    const port = this.#ports[batch.socket];
    if (port === undefined) return;
    const piece = this.#piece;
    piece.bytes = batch.bytes;
    piece.view = batch.view;
    piece.source.bytes = batch.addresses;
    for (let index = 0; index < batch.count; index += 1) {
      piece.offset = batch.offsets[index] ?? 0;
      piece.length = batch.lengths[index] ?? 0;
      piece.segmentBytes = batch.segmentBytes[index] ?? 0;
      piece.source.offset = index * SOCKET_ADDRESS_BYTES;
      if (!this.#forwardData(port, piece, nowMs)) this.#admitEach(port, piece, { batch, nowMs });
    }
  }

  /** Carries a piece of nothing but data between locked sides; false where it is not that. */
  #forwardData({ session, side }: Port, piece: Piece, nowMs: number): boolean {
    if (!isAllData(piece)) return false;
    const to = session.admission.dataDestination(side, piece.source, nowMs);
    if (to === undefined) return false;
    this.#send({ session, side }, to, { piece, nowMs });
    return true;
  }

  #admitEach(
    port: Port,
    piece: Piece,
    { batch, nowMs }: { readonly batch: ReceivedBatch; readonly nowMs: number },
  ): void {
    const { offset: start, length: total, segmentBytes } = piece;
    piece.segmentBytes = 0;
    let done = 0;
    do {
      piece.offset = start + done;
      piece.length = segmentBytes === 0 ? total : Math.min(segmentBytes, total - done);
      this.#admit(port, piece, { socket: batch.socket, nowMs });
      done += piece.length;
    } while (segmentBytes !== 0 && done < total);
  }

  #admit(
    port: Port,
    piece: Piece,
    { socket, nowMs }: { readonly socket: number; readonly nowMs: number },
  ): void {
    const { session, side } = port;
    const { counts, onEvent } = this.#options;
    const { bytes, offset, length, source } = piece;
    const verdict: Verdict = session.admission.admit(
      { bytes, offset, length, source, side },
      nowMs,
    );
    if (verdict.event !== undefined) onEvent(session, verdict.event, nowMs);
    switch (verdict.kind) {
      case 'drop':
        counts.add(verdict.reason, 1);
        break;
      case 'forward':
        for (const to of verdict.to) this.#send(port, to, { piece, nowMs });
        break;
      case 'answer':
        // Only what is authentic is answered: a pair that goes direct keeps its place by registering.
        this.#options.table.heard(session.session, nowMs);
        this.#answer(socket, source, verdict.bytes);
        break;
    }
  }

  #send(
    { session, side }: Port,
    to: Source,
    { piece, nowMs }: { readonly piece: Piece; readonly nowMs: number },
  ): void {
    const { table, counts, loop } = this.#options;
    const { length, segmentBytes } = piece;
    const datagrams = segmentBytes === 0 ? 1 : Math.ceil(length / segmentBytes);
    const isDue = !table.isSpent(session.session);
    if (!isDue || !table.carry(session.session, side, { bytes: length, nowMs })) {
      counts.add('limit', datagrams);
      return;
    }
    const outgoing = this.#outgoing;
    // -1 is no handle: the loop counts it as unsent.
    outgoing.socket = socketFor(session, side === 0 ? 1 : 0, to) ?? -1;
    outgoing.to = to;
    outgoing.toOffset = 0;
    outgoing.bytes = piece.bytes;
    outgoing.offset = piece.offset;
    outgoing.length = length;
    outgoing.segmentBytes = segmentBytes;
    counts.add('forwarded', datagrams);
    loop.send(outgoing);
  }

  #answer(socket: number, to: SourceView, bytes: Uint8Array): void {
    const { counts, loop } = this.#options;
    const outgoing = this.#outgoing;
    outgoing.socket = socket;
    outgoing.to = to.bytes;
    outgoing.toOffset = to.offset;
    outgoing.bytes = bytes;
    outgoing.offset = 0;
    outgoing.length = bytes.length;
    outgoing.segmentBytes = 0;
    counts.add('answered', 1);
    loop.send(outgoing);
  }
}

function isAllData({ view, offset, length, segmentBytes }: Piece): boolean {
  const step = segmentBytes === 0 ? length : segmentBytes;
  if (length < SMALLEST_DATA_BYTES || step < SMALLEST_DATA_BYTES) return false;
  for (let done = 0; done < length; done += step) {
    if (length - done < SMALLEST_DATA_BYTES) return false;
    if (view.getUint32(offset + done, true) !== DATA_HEADER) return false;
  }
  return true;
}

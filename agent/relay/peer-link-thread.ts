/** The thread of the peers' loopback sockets: what `peer-links.ts` starts. */
import {
  type OutgoingDatagram,
  type ReceivedBatch,
  runUdpWorker,
  type UdpHandlers,
  type UdpLoop,
} from '@nexodus/udp-batch';
import { formatIpAddress, parseIpAddress } from '@nexodus/netip';
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
  socketAddressesEqual,
} from '@nexodus/socket-address';
import { aggregateRuns } from './core/aggregate-runs.ts';
import type { Datagrams, FromLinks, ToLinks } from './peer-link-messages.ts';

const LOOPBACK = '127.0.0.1';

/** Bursts of the tunnel wait in the socket: the kernel gives as much of it as it allows. */
const BUFFER_BYTES = 4 * 1024 * 1024;

/** What the agent's thread has not dealt with yet; what comes beyond that is lost, as it would be in a full socket. */
const MOST_WAITING_BYTES = 4 * 1024 * 1024;

const NOTHING = new Uint8Array(0);

class LinkSockets implements UdpHandlers {
  readonly #loop: UdpLoop;
  /** Sockets by link; one that is being opened has none yet. */
  readonly #sockets = new Map<number, number | undefined>();
  readonly #links = new Map<number, number>();
  readonly #tunnel = new Uint8Array(SOCKET_ADDRESS_BYTES);
  #tunnelPort = 0;
  #waitingBytes = 0;
  readonly #outgoing: OutgoingDatagram;

  constructor(loop: UdpLoop) {
    this.#loop = loop;
    const empty = { bytes: NOTHING, offset: 0, length: 0, segmentBytes: 0 };
    this.#outgoing = { socket: -1, to: this.#tunnel, toOffset: 0, ...empty };
  }

  onMessage(message: unknown): void {
    // The other end of the channel is peer-links.ts.
    const told = message as ToLinks;
    if (told.kind === 'open') this.#open(told.link);
    else if (told.kind === 'close') this.#close(told.link);
    else if (told.kind === 'taken') this.#waitingBytes -= told.bytes;
    else this.#deliver(told);
  }

  onBatch(batch: ReceivedBatch): void {
    const link = this.#links.get(batch.socket);
    if (link === undefined) return;
    for (let first = 0; first < batch.count;) {
      const end = endOfSource(batch, first);
      const source = decodeSocketAddress(batch.addresses, first * SOCKET_ADDRESS_BYTES);
      const hasRoom = this.#waitingBytes < MOST_WAITING_BYTES;
      if (hasRoom && formatIpAddress(source.address) === LOOPBACK) {
        const datagrams = copyDatagrams(batch, first, end);
        this.#waitingBytes += datagrams.bytes.length;
        this.#post({ kind: 'received', link, from: source.port, datagrams });
      }
      first = end;
    }
  }

  onDeadline(): void {}

  #open(link: number): void {
    this.#sockets.set(link, undefined);
    const buffers = { receiveBufferBytes: BUFFER_BYTES, sendBufferBytes: BUFFER_BYTES };
    this.#loop.open({ address: LOOPBACK, port: 0, ...buffers }, (result) => {
      if ('error' in result) {
        this.#sockets.delete(link);
        this.#post({ kind: 'refused', link, error: result.error });
      } else if (this.#sockets.has(link)) {
        this.#sockets.set(link, result.socket);
        this.#links.set(result.socket, link);
        this.#post({ kind: 'opened', link, port: result.port });
      } else {
        this.#loop.close(result.socket);
      }
    });
  }

  #close(link: number): void {
    const socket = this.#sockets.get(link);
    this.#sockets.delete(link);
    if (socket === undefined) return;
    this.#links.delete(socket);
    this.#loop.close(socket);
  }

  #deliver({ datagrams, link, to }: Extract<ToLinks, { kind: 'deliver' }>): void {
    const socket = this.#sockets.get(link);
    if (socket === undefined) return;
    if (to !== this.#tunnelPort) {
      encodeSocketAddress(this.#tunnel, 0, { address: parseIpAddress(LOOPBACK), port: to });
      this.#tunnelPort = to;
    }
    const outgoing = this.#outgoing;
    outgoing.socket = socket;
    outgoing.bytes = datagrams.bytes;
    outgoing.offset = 0;
    for (const { length, segmentBytes } of aggregateRuns(datagrams.lengths)) {
      outgoing.length = length;
      outgoing.segmentBytes = segmentBytes;
      this.#loop.send(outgoing);
      outgoing.offset += length;
    }
  }

  #post(message: FromLinks): void {
    this.#loop.post(message);
  }
}

/** Index behind the last entry that came from where the first came from. */
function endOfSource({ addresses, count }: ReceivedBatch, first: number): number {
  const at = (index: number): number => index * SOCKET_ADDRESS_BYTES;
  let end = first + 1;
  while (end < count && socketAddressesEqual(addresses, at(first), addresses, at(end))) end += 1;
  return end;
}

/** Entries of a batch, taken apart and in memory of their own. */
function copyDatagrams(batch: ReceivedBatch, first: number, end: number): Datagrams {
  const lengths: number[] = [];
  const pieces: Uint8Array[] = [];
  for (let index = first; index < end; index += 1) {
    const [offset, total] = [batch.offsets[index] ?? 0, batch.lengths[index] ?? 0];
    const step = batch.segmentBytes[index] || total;
    for (let at = 0; at < total; at += step) lengths.push(Math.min(step, total - at));
    pieces.push(batch.bytes.subarray(offset, offset + total));
  }
  const [only = NOTHING] = pieces;
  const bytes = pieces.length === 1 ? only.slice() : Buffer.concat(pieces);
  return { bytes, lengths: Uint32Array.from(lengths) };
}

await runUdpWorker((loop) => new LinkSockets(loop));

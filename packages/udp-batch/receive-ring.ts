import { SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import type { LinuxSystemCalls } from './linux-system-calls.ts';
import { allocateKernelMemory, type KernelMemory, MessageHeaders } from './message-headers.ts';
import type { ReceivedBatch } from './udp-loop.ts';

/** recv(2): do not wait. */
const MSG_DONTWAIT = 0x40;
/** recvmsg(2): the datagram was longer than its place. */
const MSG_TRUNC = 0x20;
/** CMSG_SPACE of an int, rounded up: header of 16 bytes and 4 of data. */
const CONTROL_BYTES = 32;
/** cmsg_level and cmsg_type of the segment size that comes with an aggregate (UDP_GRO, udp(7)). */
const SOL_UDP = 17;
const UDP_GRO = 104;

/** How many datagrams a ring receives at once, and how large. */
export interface ReceiveRingOptions {
  readonly batchSize: number;
  readonly datagramBytes: number;
  readonly receiveOffload: boolean;
}

/** Receives batches into one arena. */
export class ReceiveRing implements ReceivedBatch {
  socket = -1;
  count = 0;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly segmentBytes: Uint32Array;
  readonly addresses: Uint8Array;
  readonly addressView: DataView;
  /** Address of `bytes`. */
  readonly bytesAddress: number;
  /** Address of `addresses`. */
  readonly addressesAddress: number;
  /** Datagrams that the batch stands for: those in aggregates count each. */
  datagrams = 0;
  /** Datagrams of the last call that were larger than their place. */
  oversized = 0;
  readonly #calls: LinuxSystemCalls;
  readonly #headers: MessageHeaders;
  readonly #control: KernelMemory;
  readonly #controlWords: Uint32Array;
  readonly #batchSize: number;
  readonly #receiveOffload: boolean;

  constructor(calls: LinuxSystemCalls, options: ReceiveRingOptions) {
    const { batchSize, datagramBytes } = options;
    const arena = allocateKernelMemory(calls, batchSize * datagramBytes);
    const addresses = allocateKernelMemory(calls, batchSize * SOCKET_ADDRESS_BYTES);
    this.#calls = calls;
    this.#batchSize = batchSize;
    this.#receiveOffload = options.receiveOffload;
    this.#control = allocateKernelMemory(calls, batchSize * CONTROL_BYTES);
    this.#controlWords = new Uint32Array(this.#control.bytes.buffer);
    this.bytes = arena.bytes;
    this.view = new DataView(arena.bytes.buffer);
    this.bytesAddress = arena.address;
    this.addresses = addresses.bytes;
    this.addressView = new DataView(addresses.bytes.buffer);
    this.addressesAddress = addresses.address;
    this.offsets = Uint32Array.from({ length: batchSize }, (_none, index) => index * datagramBytes);
    this.lengths = new Uint32Array(batchSize);
    this.segmentBytes = new Uint32Array(batchSize);
    this.#headers = new MessageHeaders(calls, batchSize);
    for (let index = 0; index < batchSize; index += 1) {
      this.#headers.setPayload(index, arena.address + index * datagramBytes, datagramBytes);
      this.#headers.setName(
        index,
        addresses.address + index * SOCKET_ADDRESS_BYTES,
        SOCKET_ADDRESS_BYTES,
      );
      if (!this.#receiveOffload) continue;
      this.#headers.setControl(index, this.#control.address + index * CONTROL_BYTES, CONTROL_BYTES);
    }
  }

  /**
   * Receives what waits at a socket. False where nothing is there, or only what was too large; an error of the socket
   * counts as nothing, and is over with that.
   */
  receive(fd: number, socket: number): boolean {
    const received = this.#calls.recvmmsg(
      fd,
      this.#headers.address,
      this.#batchSize,
      MSG_DONTWAIT,
      0,
    );
    this.oversized = 0;
    if (received <= 0) return false;
    this.socket = socket;
    this.count = 0;
    this.datagrams = 0;
    for (let index = 0; index < received; index += 1) this.#take(index);
    return this.count > 0;
  }

  #take(index: number): void {
    const headers = this.#headers;
    const length = headers.transferred(index);
    const segmentBytes = this.#receiveOffload ? this.#segmentBytesOf(index) : 0;
    const isWhole = (headers.flags(index) & MSG_TRUNC) === 0;
    headers.setNameLength(index, SOCKET_ADDRESS_BYTES);
    if (this.#receiveOffload) headers.setControlLength(index, CONTROL_BYTES);
    if (!isWhole) {
      this.oversized += 1;
      return;
    }
    const place = this.count;
    this.count += 1;
    this.lengths[place] = length;
    const isAggregate = segmentBytes > 0 && segmentBytes < length;
    this.segmentBytes[place] = isAggregate ? segmentBytes : 0;
    this.datagrams += isAggregate ? Math.ceil(length / segmentBytes) : 1;
    if (place !== index) this.#move(index, place);
  }

  /** Closes the gap that an oversized datagram left. */
  #move(from: number, to: number): void {
    const start = this.offsets[from] ?? 0;
    this.bytes.copyWithin(this.offsets[to] ?? 0, start, start + (this.lengths[to] ?? 0));
    const name = from * SOCKET_ADDRESS_BYTES;
    this.addresses.copyWithin(to * SOCKET_ADDRESS_BYTES, name, name + SOCKET_ADDRESS_BYTES);
  }

  #segmentBytesOf(index: number): number {
    if (this.#headers.controlLength(index) < 20) return 0;
    const word = index * (CONTROL_BYTES / 4);
    const control = this.#controlWords;
    const isSegmentSize = control[word + 2] === SOL_UDP && control[word + 3] === UDP_GRO;
    return isSegmentSize ? (control[word + 4] ?? 0) : 0;
  }
}

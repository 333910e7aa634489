import { SOCKET_ADDRESS_BYTES, socketAddressLength } from '@nexodus/socket-address';
import type { LinuxSystemCalls } from './linux-system-calls.ts';
import {
  allocateKernelMemory,
  HEADER_BYTES,
  type KernelMemory,
  MessageHeaders,
} from './message-headers.ts';
import type { ReceiveRing } from './receive-ring.ts';
import type { OutgoingDatagram } from './udp-loop.ts';

/** send(2): do not wait. */
const MSG_DONTWAIT = 0x40;
/** Places; a full queue is flushed, and the call to the kernel is long paid for by then. */
const CAPACITY = 256;
/** Room for copies: four of the largest datagrams there are. */
const COPY_BYTES = 262_144;
/** More than any datagram or aggregate can have; the kernel knows the exact limit. */
const MAX_PAYLOAD_BYTES = 65_535;
/** Control message with the segment size: header of 16 bytes, 2 of data, 6 of padding; padded to a power of 2. */
const CONTROL_STRIDE = 32;
const CONTROL_BYTES = 24;
/** CMSG_LEN(sizeof(uint16_t)). */
const CONTROL_LENGTH = 18;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
/** errno(3): nothing else will go now. */
const EAGAIN = 11;

/** Datagrams on their way out, in order. Runs of one socket leave by one system call. */
export class SendQueue {
  /** Taken by the system; aggregates count as their datagrams. */
  sent = 0;
  /** Not taken. */
  unsent = 0;
  readonly #calls: LinuxSystemCalls;
  readonly #received: ReceiveRing;
  readonly #headers: MessageHeaders;
  readonly #names: KernelMemory;
  readonly #copies: KernelMemory;
  readonly #control: KernelMemory;
  readonly #segmentSizes: Uint16Array;
  readonly #sockets = new Int32Array(CAPACITY);
  /** Segment size of each, 0 for a single datagram. */
  readonly #segmentBytes = new Uint32Array(CAPACITY);
  #count = 0;
  #copied = 0;

  constructor(calls: LinuxSystemCalls, received: ReceiveRing) {
    this.#calls = calls;
    this.#received = received;
    this.#headers = new MessageHeaders(calls, CAPACITY);
    this.#names = allocateKernelMemory(calls, CAPACITY * SOCKET_ADDRESS_BYTES);
    this.#copies = allocateKernelMemory(calls, COPY_BYTES);
    this.#control = allocateKernelMemory(calls, CAPACITY * CONTROL_STRIDE);
    this.#segmentSizes = new Uint16Array(this.#control.bytes.buffer);
    const control = new Uint32Array(this.#control.bytes.buffer);
    for (let index = 0; index < CAPACITY; index += 1) {
      const word = (index * CONTROL_STRIDE) / 4;
      control[word] = CONTROL_LENGTH;
      control[word + 2] = SOL_UDP;
      control[word + 3] = UDP_SEGMENT;
    }
  }

  /** Queues a datagram to leave by the socket `fd`. */
  push(fd: number, datagram: OutgoingDatagram): void {
    const { length, segmentBytes } = datagram;
    const isAggregate = segmentBytes > 0 && length > segmentBytes;
    const nameLength = socketAddressLength(datagram.to, datagram.toOffset);
    if (nameLength === 0 || length > MAX_PAYLOAD_BYTES) {
      this.unsent += isAggregate ? Math.ceil(length / segmentBytes) : 1;
      return;
    }
    if (this.#count === CAPACITY) this.flush();
    const payload = this.#payloadAddress(datagram);
    const index = this.#count;
    this.#count += 1;
    this.#sockets[index] = fd;
    this.#headers.setPayload(index, payload, length);
    this.#headers.setName(index, this.#nameAddress(index, datagram), nameLength);
    this.#segmentBytes[index] = isAggregate ? segmentBytes : 0;
    if (isAggregate) {
      this.#segmentSizes[(index * CONTROL_STRIDE) / 2 + 8] = segmentBytes;
      this.#headers.setControl(
        index,
        this.#control.address + index * CONTROL_STRIDE,
        CONTROL_BYTES,
      );
    } else {
      this.#headers.setControlLength(index, 0);
    }
  }

  /** Hands everything to the kernel. */
  flush(): void {
    const count = this.#count;
    let start = 0;
    while (start < count) {
      const fd = this.#sockets[start] ?? -1;
      let end = start + 1;
      while (end < count && this.#sockets[end] === fd) end += 1;
      this.#sendRun(fd, start, end);
      start = end;
    }
    this.#count = 0;
    this.#copied = 0;
  }

  /** Where the kernel finds the bytes; may flush the queue to make room for a copy. */
  #payloadAddress({ bytes, offset, length }: OutgoingDatagram): number {
    if (bytes === this.#received.bytes) return this.#received.bytesAddress + offset;
    if (this.#copied + length > COPY_BYTES) this.flush();
    const at = this.#copied;
    this.#copied += length;
    this.#copies.bytes.set(bytes.subarray(offset, offset + length), at);
    return this.#copies.address + at;
  }

  #nameAddress(index: number, { to, toOffset }: OutgoingDatagram): number {
    if (to === this.#received.addresses) return this.#received.addressesAddress + toOffset;
    const at = index * SOCKET_ADDRESS_BYTES;
    const names = this.#names.bytes;
    for (let byte = 0; byte < 28; byte += 1) names[at + byte] = to[toOffset + byte] ?? 0;
    return this.#names.address + at;
  }

  #sendRun(fd: number, start: number, end: number): void {
    let next = start;
    while (next < end) {
      const address = this.#headers.address + next * HEADER_BYTES;
      const taken = this.#calls.sendmmsg(fd, address, end - next, MSG_DONTWAIT);
      for (let index = next; index < next + taken; index += 1) this.sent += this.#datagrams(index);
      if (taken > 0) next += taken;
      else next = this.#passOver(fd, next, end);
    }
  }

  /** Deals with a datagram that the kernel refused; gives the next to try. */
  #passOver(fd: number, index: number, end: number): number {
    if (this.#calls.errno() === EAGAIN) {
      // The socket's buffer is full: what is behind it finds no room either.
      for (let rest = index; rest < end; rest += 1) this.unsent += this.#datagrams(rest);
      return end;
    }
    if (this.#segmentBytes[index] === 0) this.unsent += 1;
    else this.#sendSegments(fd, index);
    return index + 1;
  }

  /** An interface without offload, or a path with a smaller MTU, refuses an aggregate: its datagrams go one by one. */
  #sendSegments(fd: number, index: number): void {
    const headers = this.#headers;
    const segmentBytes = this.#segmentBytes[index] ?? 0;
    const payload = headers.payloadAddress(index);
    const length = headers.payloadLength(index);
    headers.setControlLength(index, 0);
    for (let at = 0; at < length; at += segmentBytes) {
      headers.setPayload(index, payload + at, Math.min(segmentBytes, length - at));
      const address = headers.address + index * HEADER_BYTES;
      if (this.#calls.sendmmsg(fd, address, 1, MSG_DONTWAIT) === 1) this.sent += 1;
      else this.unsent += 1;
    }
  }

  #datagrams(index: number): number {
    const segmentBytes = this.#segmentBytes[index] ?? 0;
    return segmentBytes === 0 ? 1 : Math.ceil(this.#headers.payloadLength(index) / segmentBytes);
  }
}

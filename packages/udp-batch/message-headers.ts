/**
 * Arrays of `struct mmsghdr`, each with one `struct iovec`, for recvmmsg(2) and sendmmsg(2). Layout on 64-bit
 * little-endian Linux, in 32-bit words of one header (64 bytes):
 *
 *     0  msg_name (64 bits)       8  msg_control (64 bits)
 *     2  msg_namelen (32)        10  msg_controllen (64)
 *     4  msg_iov (64)            12  msg_flags (32)
 *     6  msg_iovlen (64)         14  msg_len (32), set by the call
 */
import type { LinuxSystemCalls } from './linux-system-calls.ts';

/** Size of `struct mmsghdr`. */
export const HEADER_BYTES = 64;
const HEADER_WORDS = 16;
const IOVEC_BYTES = 16;
const IOVEC_WORDS = 4;
const WORD = 2 ** 32;

/** Memory whose address is known, for the kernel to read and write. */
export interface KernelMemory {
  readonly bytes: Uint8Array;
  readonly address: number;
}

/** Zeroed memory. It lives as long as the object. */
export function allocateKernelMemory(calls: LinuxSystemCalls, lengthBytes: number): KernelMemory {
  const bytes = new Uint8Array(new ArrayBuffer(lengthBytes));
  return { bytes, address: calls.addressOf(bytes) };
}

/** Headers `0` to `count - 1`. Indexes are not checked. */
export class MessageHeaders {
  /** Address of the first; the others follow at HEADER_BYTES. */
  readonly address: number;
  readonly #memory: KernelMemory;
  readonly #vectorMemory: KernelMemory;
  readonly #words: Uint32Array;
  readonly #vectors: Uint32Array;

  constructor(calls: LinuxSystemCalls, count: number) {
    this.#memory = allocateKernelMemory(calls, count * HEADER_BYTES);
    this.#vectorMemory = allocateKernelMemory(calls, count * IOVEC_BYTES);
    this.address = this.#memory.address;
    this.#words = new Uint32Array(this.#memory.bytes.buffer);
    this.#vectors = new Uint32Array(this.#vectorMemory.bytes.buffer);
    for (let index = 0; index < count; index += 1) {
      const word = index * HEADER_WORDS;
      setPointer(this.#words, word + 4, this.#vectorMemory.address + index * IOVEC_BYTES);
      this.#words[word + 6] = 1;
    }
  }

  /** Points a header at the place of its peer's socket address. */
  setName(index: number, address: number, lengthBytes: number): void {
    setPointer(this.#words, index * HEADER_WORDS, address);
    this.#words[index * HEADER_WORDS + 2] = lengthBytes;
  }

  /** Says again how much room there is for the peer's address: a call overwrites it with what it used. */
  setNameLength(index: number, lengthBytes: number): void {
    this.#words[index * HEADER_WORDS + 2] = lengthBytes;
  }

  /** Points a header at its bytes. */
  setPayload(index: number, address: number, lengthBytes: number): void {
    setPointer(this.#vectors, index * IOVEC_WORDS, address);
    this.#vectors[index * IOVEC_WORDS + 2] = lengthBytes;
  }

  /** Length of the bytes that a header points at. */
  payloadLength(index: number): number {
    return this.#vectors[index * IOVEC_WORDS + 2] ?? 0;
  }

  /** Address of the bytes that a header points at. */
  payloadAddress(index: number): number {
    const low = this.#vectors[index * IOVEC_WORDS] ?? 0;
    return (this.#vectors[index * IOVEC_WORDS + 1] ?? 0) * WORD + low;
  }

  /** Points a header at its control messages. */
  setControl(index: number, address: number, lengthBytes: number): void {
    setPointer(this.#words, index * HEADER_WORDS + 8, address);
    this.#words[index * HEADER_WORDS + 10] = lengthBytes;
  }

  /** Says how long the control messages are: a receiving call overwrites it with what it used. */
  setControlLength(index: number, lengthBytes: number): void {
    this.#words[index * HEADER_WORDS + 10] = lengthBytes;
  }

  /** Length of the control messages. */
  controlLength(index: number): number {
    return this.#words[index * HEADER_WORDS + 10] ?? 0;
  }

  /** Flags of a received message. */
  flags(index: number): number {
    return this.#words[index * HEADER_WORDS + 12] ?? 0;
  }

  /** Bytes that the call received or sent. */
  transferred(index: number): number {
    return this.#words[index * HEADER_WORDS + 14] ?? 0;
  }
}

function setPointer(words: Uint32Array, index: number, address: number): void {
  words[index] = address % WORD;
  words[index + 1] = Math.floor(address / WORD);
}

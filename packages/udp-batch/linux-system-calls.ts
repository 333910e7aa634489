/**
 * The system calls of Linux that a loop needs, through the C library. Memory is passed by address: it lies in
 * `ArrayBuffer`s that their owner keeps, and those do not move.
 */
import { arch, endianness } from 'node:os';
import type { LibraryHandle } from 'koffi';
import { UdpUnsupportedError } from './udp-errors.ts';

/** Names as in the manual, section 2. Each gives -1 on failure; `errno` tells why. Addresses are numbers. */
export interface LinuxSystemCalls {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: number, length: number) => number;
  readonly getsockname: (fd: number, address: number, length: number) => number;
  readonly setsockopt: (...args: [number, number, number, number, number]) => number;
  readonly close: (fd: number) => number;
  readonly epollCreate: (flags: number) => number;
  readonly epollControl: (epoll: number, operation: number, fd: number, event: number) => number;
  readonly epollWait: (epoll: number, events: number, max: number, timeoutMs: number) => number;
  readonly eventfd: (initial: number, flags: number) => number;
  readonly read: (fd: number, target: number, length: number) => number;
  readonly recvmmsg: (...args: [number, number, number, number, number]) => number;
  readonly sendmmsg: (fd: number, headers: number, count: number, flags: number) => number;
  /** Error number of the last call of this thread. */
  readonly errno: () => number;
  /** Address of the first byte of memory that lives as long as it is used. */
  readonly addressOf: (memory: Uint8Array) => number;
}

/** Machines whose structures have the layout that message-headers.ts and koffi-udp-loop.ts write. */
const ARCHITECTURES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

/**
 * Loads them.
 *
 * @throws {UdpUnsupportedError} on another system or architecture, or where koffi has no binary for it
 */
export async function loadLinuxSystemCalls(): Promise<LinuxSystemCalls> {
  if (process.platform !== 'linux') throw new UdpUnsupportedError('this is not Linux');
  if (!ARCHITECTURES.has(arch()) || endianness() !== 'LE') {
    throw new UdpUnsupportedError(`structures of ${arch()} are not known here`);
  }
  try {
    const { default: koffi } = await import('koffi');
    return {
      ...systemCallsOf(koffi.load(null)),
      errno: () => koffi.errno(),
      addressOf: (memory) => Number(koffi.address(memory)),
    };
  } catch (error) {
    throw new UdpUnsupportedError('koffi does not load here', { cause: error });
  }
}

function systemCallsOf(library: LibraryHandle): Omit<LinuxSystemCalls, 'errno' | 'addressOf'> {
  return {
    socket: library.func('int socket(int, int, int)'),
    bind: library.func('int bind(int, uintptr_t, uint32_t)'),
    getsockname: library.func('int getsockname(int, uintptr_t, uintptr_t)'),
    setsockopt: library.func('int setsockopt(int, int, int, uintptr_t, uint32_t)'),
    close: library.func('int close(int)'),
    epollCreate: library.func('int epoll_create1(int)'),
    epollControl: library.func('int epoll_ctl(int, int, int, uintptr_t)'),
    epollWait: library.func('int epoll_wait(int, uintptr_t, int, int)'),
    eventfd: library.func('int eventfd(uint32_t, int)'),
    read: library.func('intptr_t read(int, uintptr_t, size_t)'),
    recvmmsg: library.func('int recvmmsg(int, uintptr_t, uint32_t, int, uintptr_t)'),
    sendmmsg: library.func('int sendmmsg(int, uintptr_t, uint32_t, int)'),
  };
}

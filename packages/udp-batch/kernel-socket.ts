import { getSystemErrorName } from 'node:util';
import { parseIpAddress } from '@nexodus/netip';
import {
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
  socketAddressLength,
} from '@nexodus/socket-address';
import type { LinuxSystemCalls } from './linux-system-calls.ts';
import { allocateKernelMemory } from './message-headers.ts';
import { UdpSocketError } from './udp-errors.ts';
import type { UdpSocketOptions } from './udp-loop.ts';

/** socket(2): SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC. */
const DATAGRAM_SOCKET = 0x2 | 0x800 | 0x80000;
const SOL_SOCKET = 1;
/** socket(7). The forced sizes may exceed the system's limit and need CAP_NET_ADMIN. */
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
/** ipv6(7). */
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** udp(7). */
const SOL_UDP = 17;
const UDP_GRO = 104;

/** A socket of the kernel. */
export interface KernelSocket {
  readonly fd: number;
  readonly port: number;
}

/**
 * Opens and binds a socket that does not block. Kernels before 5.0 have no UDP_GRO: they hand over single datagrams.
 *
 * @throws {UdpSocketError} with nothing left open
 */
export function openKernelSocket(
  calls: LinuxSystemCalls,
  options: UdpSocketOptions & { readonly receiveOffload: boolean },
): KernelSocket {
  const address = allocateKernelMemory(calls, SOCKET_ADDRESS_BYTES);
  encodeSocketAddress(address.bytes, 0, {
    address: parseIpAddress(options.address),
    port: options.port,
  });
  const fd = calls.socket(address.bytes[0] ?? 0, DATAGRAM_SOCKET, 0);
  if (fd < 0) throw systemError(calls, options);
  try {
    setOptions(calls, fd, options);
    const length = socketAddressLength(address.bytes, 0);
    if (calls.bind(fd, address.address, length) !== 0) throw systemError(calls, options);
    return { fd, port: boundPort(calls, fd, options) };
  } catch (error) {
    calls.close(fd);
    throw error;
  }
}

function setOptions(
  calls: LinuxSystemCalls,
  fd: number,
  options: UdpSocketOptions & { readonly receiveOffload: boolean },
): void {
  const value = allocateKernelMemory(calls, 4);
  const set = (level: number, name: number, to: number): boolean => {
    new DataView(value.bytes.buffer).setInt32(0, to, true);
    return calls.setsockopt(fd, level, name, value.address, 4) === 0;
  };
  if (options.address.includes(':') && !set(IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
    throw systemError(calls, options);
  }
  if (options.reusePort === true && !set(SOL_SOCKET, SO_REUSEPORT, 1)) {
    throw systemError(calls, options);
  }
  const receive = options.receiveBufferBytes;
  if (receive !== undefined && !set(SOL_SOCKET, SO_RCVBUFFORCE, receive)) {
    set(SOL_SOCKET, SO_RCVBUF, receive);
  }
  const send = options.sendBufferBytes;
  if (send !== undefined && !set(SOL_SOCKET, SO_SNDBUFFORCE, send)) {
    set(SOL_SOCKET, SO_SNDBUF, send);
  }
  if (options.receiveOffload) set(SOL_UDP, UDP_GRO, 1);
}

function boundPort(calls: LinuxSystemCalls, fd: number, options: UdpSocketOptions): number {
  const name = allocateKernelMemory(calls, SOCKET_ADDRESS_BYTES);
  const length = allocateKernelMemory(calls, 4);
  new DataView(length.bytes.buffer).setUint32(0, SOCKET_ADDRESS_BYTES, true);
  if (calls.getsockname(fd, name.address, length.address) !== 0) {
    throw systemError(calls, options);
  }
  return new DataView(name.bytes.buffer).getUint16(2);
}

function systemError(calls: LinuxSystemCalls, options: UdpSocketOptions): UdpSocketError {
  const code = getSystemErrorName(-calls.errno());
  return new UdpSocketError(code, `UDP socket on ${options.address} port ${options.port}`);
}

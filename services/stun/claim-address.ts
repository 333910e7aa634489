import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { ConfigError, type ListenAddress } from '@nexodus/config';
import { formatSocketAddress } from './socket-address-text.ts';

/**
 * Finds out whether a UDP address is free, and which port the system chooses for port 0. The sockets that are opened
 * then share their port among threads, so they alone would not notice another process that does the same.
 *
 * @throws {ConfigError} that names the address and what to change
 */
export async function claimAddress(listen: ListenAddress): Promise<ListenAddress> {
  const socket = isIPv6(listen.host)
    ? createSocket({ type: 'udp6', ipv6Only: true })
    : createSocket('udp4');
  const bound = Promise.withResolvers<void>();
  socket.once('error', bound.reject);
  socket.bind({ address: listen.host, port: listen.port, exclusive: true }, bound.resolve);
  try {
    await bound.promise;
    return { host: listen.host, port: socket.address().port };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new ConfigError([bindProblem(formatSocketAddress(listen), code)]);
  } finally {
    await new Promise<void>((resolve) => socket.close(resolve));
  }
}

/** What to do about an address that cannot be bound, in one line. */
export function bindProblem(address: string, code: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return `another process listens on UDP ${address}: set stun.listen to a free port, or stop that process`;
    case 'EADDRNOTAVAIL':
      return `this machine does not have the address of UDP ${address}: set stun.listen to one that it has`;
    case 'EACCES':
      return `this user may not listen on UDP ${address}: set stun.listen to a port above 1023`;
    case 'EAFNOSUPPORT':
      return `this machine has no network of the family of UDP ${address}: leave it out of stun.listen`;
    default:
      return `cannot listen on UDP ${address} (${code}): check stun.listen`;
  }
}

import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { ConfigError, type ListenAddress } from '@nexodus/config';
import { parseIpAddress } from '@nexodus/netip';
import type { TransportAddress } from '@nexodus/stun-codec';
import { formatSocketAddress } from './socket-address-text.ts';

/** Answers that may wait in a socket before further ones are dropped, in bytes: a full network must not fill memory. */
const SEND_QUEUE_MAX_BYTES = 1_048_576;

/** What a listener does with what arrives. */
export interface UdpListenerOptions {
  readonly listen: ListenAddress;
  /** Gives the answer to a datagram, or nothing. It must not throw. */
  readonly answer: (datagram: Uint8Array, source: TransportAddress) => Uint8Array | undefined;
  /** An answer could not be sent. */
  readonly onUnsent: (error?: Error) => void;
  /** The socket failed outside a send; it goes on as far as it can. */
  readonly onError: (error: Error) => void;
}

/** A UDP socket that answers. */
export interface UdpListener {
  /** The address and the port that it got. */
  readonly address: ListenAddress;
  /** Resolves when the socket is closed. */
  close(): Promise<void>;
}

/**
 * Binds a UDP socket and answers from it; an IPv6 one takes no IPv4.
 *
 * @throws {ConfigError} that names the address and what to change
 */
export async function openUdpListener(options: UdpListenerOptions): Promise<UdpListener> {
  const { listen, onError } = options;
  const socket = isIPv6(listen.host)
    ? createSocket({ type: 'udp6', ipv6Only: true })
    : createSocket('udp4');
  await bind(socket, listen);
  socket.on('error', onError);
  socket.on('message', (datagram, { address, port }) => {
    // A link-local source carries its zone, which its address proper has not.
    const source = { address: parseIpAddress(address.replace(/%.*$/, '')), port };
    const reply = options.answer(datagram, source);
    if (reply === undefined) return;
    if (socket.getSendQueueSize() > SEND_QUEUE_MAX_BYTES) {
      options.onUnsent();
      return;
    }
    socket.send(reply, port, address, (error) => {
      if (error !== null) options.onUnsent(error);
    });
  });
  return {
    address: { host: listen.host, port: socket.address().port },
    close: () => new Promise((resolve) => socket.close(resolve)),
  };
}

async function bind(socket: Socket, listen: ListenAddress): Promise<void> {
  const bound = Promise.withResolvers<void>();
  socket.once('error', bound.reject);
  socket.bind({ address: listen.host, port: listen.port, exclusive: true }, bound.resolve);
  try {
    await bound.promise;
  } catch (error) {
    socket.close();
    throw new ConfigError([bindProblem(formatSocketAddress(listen), error)]);
  }
  socket.off('error', bound.reject);
}

function bindProblem(address: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'EADDRINUSE':
      return `another process listens on UDP ${address}: set stun.listen to a free port, or stop that process`;
    case 'EADDRNOTAVAIL':
      return `this machine does not have the address of UDP ${address}: set stun.listen to one that it has`;
    case 'EACCES':
      return `this user may not listen on UDP ${address}: set stun.listen to a port above 1023`;
    case 'EAFNOSUPPORT':
      return `this machine has no network of the family of UDP ${address}: leave it out of stun.listen`;
    default: {
      const cause = error instanceof Error ? error.message : String(error);
      return `cannot listen on UDP ${address} (${cause}): check stun.listen`;
    }
  }
}

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';

/** Where a datagram goes to or came from. */
export interface DatagramPlace {
  /** IP address. */
  readonly address: string;
  readonly port: number;
}

/** The agent's own datagram sockets, one for each family; the data plane makes them look like the tunnel's port. */
export interface PortSocket {
  /** Their ports; undefined for a family that this machine does not have. */
  readonly ports: { readonly ipv4: number | undefined; readonly ipv6: number | undefined };
  /** Sends, once and without a word on whether it left. */
  readonly send: (datagram: Uint8Array, to: DatagramPlace) => void;
  /** Calls for each datagram; returns what ends it. */
  listen(onDatagram: (datagram: Uint8Array, from: DatagramPlace) => void): () => void;
  /** Idempotent. */
  close(): void;
}

/** Opens the sockets on ports of the system's choice. A family that cannot be had is left out. */
export async function openPortSocket(): Promise<PortSocket> {
  const ipv4 = await open('udp4');
  const ipv6 = await open('udp6');
  const listeners = new Set<(datagram: Uint8Array, from: DatagramPlace) => void>();
  for (const socket of [ipv4, ipv6]) {
    socket?.on('message', (datagram: Buffer, { address, port }: RemoteInfo) => {
      for (const listener of listeners) listener(datagram, { address, port });
    });
  }
  let isOpen = true;
  return {
    ports: { ipv4: ipv4?.address().port, ipv6: ipv6?.address().port },
    send: (datagram, { address, port }) => {
      const socket = isIPv6(address) ? ipv6 : ipv4;
      // What cannot be sent, for want of a route for instance, is a datagram that gets no answer.
      if (isOpen) socket?.send(datagram, port, address, () => undefined);
    },
    listen: (onDatagram) => {
      listeners.add(onDatagram);
      return () => void listeners.delete(onDatagram);
    },
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      ipv4?.close();
      ipv6?.close();
    },
  };
}

async function open(type: 'udp4' | 'udp6'): Promise<Socket | undefined> {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  try {
    socket.bind(0);
    await once(socket, 'listening');
    socket.on('error', () => undefined);
    return socket;
  } catch {
    socket.close();
    return undefined;
  }
}

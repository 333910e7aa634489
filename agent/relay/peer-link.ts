import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** What a link is made of. */
export interface PeerLinkOptions {
  /** UDP port of the tunnel at this moment; 0: none yet. */
  readonly tunnelPort: () => number;
  /** A datagram of the tunnel for the peer. */
  readonly onDatagram: (datagram: Uint8Array) => void;
}

/** A UDP socket on loopback that is one peer's endpoint for the tunnel. */
export interface PeerLink {
  /** `127.0.0.1:port`, for the tunnel. */
  readonly endpoint: string;
  /** Hands the tunnel a datagram of the peer. */
  deliver(datagram: Uint8Array): void;
  /** Idempotent. */
  close(): void;
}

const LOOPBACK = '127.0.0.1';

/** Bursts of the tunnel wait in the socket: the kernel gives as much of it as it allows. */
const BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * Opens a link. Only datagrams from the tunnel's own port on loopback are taken: whoever else on this machine sends to
 * the socket is not heard.
 *
 * @throws the errors of sockets, where no socket can be had
 */
export async function openPeerLink({ tunnelPort, onDatagram }: PeerLinkOptions): Promise<PeerLink> {
  const socket = createSocket('udp4');
  socket.on('message', (datagram, from) => {
    if (from.address === LOOPBACK && from.port === tunnelPort()) onDatagram(datagram);
  });
  socket.bind(0, LOOPBACK);
  await once(socket, 'listening');
  // Errors of sends are datagrams that were lost, which the tunnel knows how to deal with.
  socket.on('error', () => undefined);
  widen(socket);
  const { port } = socket.address();
  let isOpen = true;
  return {
    endpoint: `${LOOPBACK}:${port}`,
    deliver: (datagram) => {
      const to = tunnelPort();
      if (isOpen && to !== 0) socket.send(datagram, to, LOOPBACK);
    },
    close: () => {
      if (isOpen) socket.close();
      isOpen = false;
    },
  };
}

function widen(socket: Socket): void {
  try {
    socket.setRecvBufferSize(BUFFER_BYTES);
    socket.setSendBufferSize(BUFFER_BYTES);
  } catch {
    // A smaller buffer loses more of a burst and nothing else.
  }
}

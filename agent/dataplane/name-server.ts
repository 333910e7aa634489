import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket as TcpSocket } from 'node:net';
import { answerQuery } from './core/answer-query.ts';
import type { NameZone } from './core/name-zone.ts';
import { DataplaneError } from './dataplane-error.ts';

/** Where the name server listens. */
export interface NameServerAddress {
  readonly address: string;
  readonly port: number;
}

/** The DNS server of the VPC's names, on loopback only, over UDP and TCP (RFC 1035 section 4.2, RFC 7766). */
export interface NameServer {
  readonly listening: NameServerAddress;
  /** Answers from this zone from now on; null: refuses everything. */
  setZone(zone: NameZone | null): void;
  /** Stops listening and hangs up. */
  close(): Promise<void>;
}

/** TCP clients at once; further ones are hung up on. */
const MAX_TCP_CLIENTS = 64;

/** A TCP client that is silent for this long is hung up on (RFC 7766 section 6.2.3: "a few seconds"). */
const TCP_IDLE_MS = 5000;

/** Bytes of the length before each message on TCP (RFC 1035 section 4.2.2). */
const LENGTH_BYTES = 2;

/**
 * Starts a name server. Port 0: any port, the same for both transports. Throws DataplaneError(`names-unavailable`) where
 * the address cannot be bound.
 */
export async function startNameServer(wanted: NameServerAddress): Promise<NameServer> {
  let zone: NameZone | null = null;
  const answer = (message: Uint8Array) => answerQuery(zone, message);
  const tcp = createServer((client) => serveClient(client, answer));
  tcp.maxConnections = MAX_TCP_CLIENTS;
  const udp = createSocket('udp4');
  const clients = new Set<TcpSocket>();
  tcp.on('connection', (client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
  });
  try {
    const port = await listenTcp(tcp, wanted);
    await bindUdp(udp, { ...wanted, port });
    udp.on('message', (message, sender) => {
      const response = answer(message);
      if (response !== null) udp.send(response, sender.port, sender.address, () => undefined);
    });
    udp.on('error', () => undefined);
    return {
      listening: { address: wanted.address, port },
      setZone: (next) => {
        zone = next;
      },
      close: () => closeServers(tcp, udp, clients),
    };
  } catch (cause) {
    await closeServers(tcp, udp, clients);
    throw unavailable(wanted, cause);
  }
}

function unavailable({ address, port }: NameServerAddress, cause: unknown): DataplaneError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
  return new DataplaneError(
    'names-unavailable',
    `The name resolver cannot listen on ${address} port ${port} (${code}); names are not resolved.`,
    code === 'EACCES'
      ? 'Run nexd as root, or give it the capability CAP_NET_BIND_SERVICE.'
      : 'End what listens there; tunnels and addresses work without names.',
    { cause },
  );
}

async function listenTcp(server: Server, { address, port }: NameServerAddress): Promise<number> {
  server.listen({ host: address, port });
  await once(server, 'listening');
  const bound = server.address();
  return bound !== null && typeof bound === 'object' ? bound.port : port;
}

async function bindUdp(socket: UdpSocket, { address, port }: NameServerAddress): Promise<void> {
  socket.bind({ address, port, exclusive: true });
  await once(socket, 'listening');
}

async function closeServers(
  tcp: Server,
  udp: UdpSocket,
  clients: ReadonlySet<TcpSocket>,
): Promise<void> {
  for (const client of clients) client.destroy();
  await new Promise<void>((resolve) => tcp.close(() => resolve()));
  await new Promise<void>((resolve) => {
    try {
      udp.close(() => resolve());
    } catch {
      resolve();
    }
  });
}

function serveClient(client: TcpSocket, answer: (message: Uint8Array) => Uint8Array | null): void {
  let received = Buffer.alloc(0);
  client.setTimeout(TCP_IDLE_MS, () => client.destroy());
  client.on('error', () => client.destroy());
  client.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    for (;;) {
      const length = received.length < LENGTH_BYTES ? Infinity : received.readUInt16BE(0);
      if (received.length < LENGTH_BYTES + length) return;
      const message = received.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
      received = received.subarray(LENGTH_BYTES + length);
      const response = answer(message);
      if (response === null) {
        client.destroy();
        return;
      }
      client.write(frame(response));
    }
  });
}

function frame(message: Uint8Array): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(message.length, 0);
  return Buffer.concat([length, message]);
}

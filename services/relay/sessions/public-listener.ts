/**
 * The relay's public TLS port. What a client speaks is agreed in the handshake (ALPN, RFC 7301): `h2` is gRPC and goes
 * to the server on a unix socket that only this user reaches; `http/1.1` may ask to be upgraded to DERP. Both look like
 * HTTPS to whatever is between.
 */
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Part } from '@nexodus/lifecycle';
import type { ServerTls } from '@nexodus/rpc';
import { ConnectionShares } from '../core/connection-shares.ts';

/** What the listener needs. */
export interface PublicListenerOptions {
  /** Address to listen on, IPv4 or IPv6, and port; 0 lets the system choose. */
  readonly host: string;
  readonly port: number;
  readonly tls: Pick<ServerTls, 'certificate' | 'key'>;
  /** Connections at once from one IPv4 address or IPv6 /64; those of a whole site may come from one. */
  readonly connectionsPerSource: number;
  /** Path of the gRPC server's unix socket, once it has started. */
  readonly grpcSocket: () => string;
  /** Takes over a connection that asks for an upgrade. */
  readonly handleUpgrade: (request: IncomingMessage, socket: Duplex, head: Uint8Array) => void;
}

/** Connections at once; each costs tens of kilobytes. */
const MAX_CONNECTIONS = 20_000;

/** A client has shaken hands and sent its request by then. */
const OPENING_MS = 10_000;

/** A listener that runs. */
export interface PublicListener {
  readonly part: Part;
  /** Port that it listens on. */
  port(): number;
}

/** Builds the listener. */
export function createPublicListener(options: PublicListenerOptions): PublicListener {
  const { connectionsPerSource, grpcSocket, handleUpgrade, host, port, tls } = options;
  const sockets = new Set<TLSSocket>();
  const shares = new ConnectionShares(connectionsPerSource);
  const http = createHttpServer({ headersTimeout: OPENING_MS }, (_request, response) => {
    response.writeHead(404, { 'content-type': 'text/plain', connection: 'close' });
    response.end('nothing here\n');
  });
  http.on('upgrade', handleUpgrade);
  const server = createTlsServer({
    cert: tls.certificate,
    key: tls.key,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: OPENING_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  // Before the TLS handshake, which costs more than all else.
  server.prependListener('connection', (socket: Socket) => {
    const { remoteAddress: address } = socket;
    if (address === undefined || !shares.enter(address)) socket.destroy();
    else socket.once('close', () => shares.leave(address));
  });
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    if (socket.alpnProtocol === 'h2') forward(socket, grpcSocket());
    else http.emit('connection', socket);
  });
  const part: Part = {
    name: 'public listener',
    start: async () => {
      const listening = Promise.withResolvers<void>();
      server.once('error', listening.reject);
      server.listen({ host, port }, listening.resolve);
      await listening.promise;
    },
    stop: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      http.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await closed.promise;
    },
  };
  return { part, port: () => portOf(server.address()) };
}

function forward(socket: TLSSocket, path: string): void {
  const inner = connect({ path });
  inner.on('error', () => inner.destroy());
  inner.on('close', () => socket.destroy());
  socket.on('close', () => inner.destroy());
  socket.pipe(inner).pipe(socket);
}

function portOf(address: ReturnType<ReturnType<typeof createTlsServer>['address']>): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}

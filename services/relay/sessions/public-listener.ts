/**
 * The relay's public TLS port. What a client speaks is agreed in the handshake (ALPN, RFC 7301): `h2` is gRPC and goes
 * to the server on a unix socket that only this user reaches; `http/1.1` may ask to be upgraded to DERP. Both look like
 * HTTPS to whatever is between.
 */
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  createServer as createTlsServer,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls';
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
  /** A client that has not said what it wants so long after the handshake is cut. Default 10 s. */
  readonly openingMs?: number;
  /** Path of the gRPC server's unix socket, once it has started. */
  readonly grpcSocket: () => string;
  /** Takes over a connection that asks for an upgrade. */
  readonly handleUpgrade: (request: IncomingMessage, socket: Duplex, head: Uint8Array) => void;
}

/** Connections at once; each costs tens of kilobytes. */
const MAX_CONNECTIONS = 20_000;

/** A client has shaken hands by then, and as long after that it has said what it wants. */
const OPENING_MS = 10_000;

/** A listener that runs. */
export interface PublicListener {
  readonly part: Part;
  /** Port that it listens on. */
  port(): number;
}

/** Builds the listener. */
export function createPublicListener(options: PublicListenerOptions): PublicListener {
  const { connectionsPerSource, grpcSocket, tls } = options;
  const { openingMs = OPENING_MS } = options;
  const upgrades = new UpgradeServer(options.handleUpgrade);
  const server = createTlsServer({
    cert: tls.certificate,
    key: tls.key,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: OPENING_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  const sockets = shareConnections(server, connectionsPerSource);
  server.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    const opening = setTimeout(() => socket.destroy(), openingMs);
    socket.once('close', () => clearTimeout(opening));
    if (socket.alpnProtocol === 'h2') {
      socket.once('data', () => clearTimeout(opening));
      forward(socket, grpcSocket());
    } else {
      upgrades.take(socket, opening);
    }
  });
  const part = listeningPart(server, options, () => {
    upgrades.close();
    for (const socket of sockets) socket.destroy();
  });
  return { part, port: () => portOf(server.address()) };
}

/**
 * Gives each source its share, before the TLS handshake, which costs more than all else.
 *
 * @returns all connections that there are
 */
function shareConnections(server: TlsServer, perSource: number): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  const shares = new ConnectionShares(perSource);
  server.prependListener('connection', (socket: Socket) => {
    const { remoteAddress: address } = socket;
    if (address === undefined || !shares.enter(address)) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      shares.leave(address);
    });
  });
  return sockets;
}

/** An HTTP server that knows upgrades alone, and listens on nothing. */
class UpgradeServer {
  /** Node's own limits of time do not hold for connections that are handed to an HTTP server. */
  readonly #openings = new WeakMap<Duplex, NodeJS.Timeout>();
  readonly #http = createHttpServer((_request, response) => {
    response.writeHead(404, { 'content-type': 'text/plain', connection: 'close' });
    response.end('nothing here\n');
  });

  constructor(handleUpgrade: PublicListenerOptions['handleUpgrade']) {
    this.#http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      clearTimeout(this.#openings.get(socket));
      handleUpgrade(request, socket, head);
    });
  }

  /** Takes a connection, whose timer ends it unless it asks for an upgrade in time. */
  take(socket: TLSSocket, opening: NodeJS.Timeout): void {
    this.#openings.set(socket, opening);
    this.#http.emit('connection', socket);
  }

  close(): void {
    this.#http.closeAllConnections();
  }
}

function listeningPart(
  server: TlsServer,
  { host, port }: Pick<PublicListenerOptions, 'host' | 'port'>,
  cutAll: () => void,
): Part {
  return {
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
      cutAll();
      await closed.promise;
    },
  };
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

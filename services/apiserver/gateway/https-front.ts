import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Part } from '@nexodus/lifecycle';
import type { ServerTls } from '@nexodus/rpc';

/** Something that answers requests below the HTTPS address. */
export interface HttpsRoute {
  /** Whether the path is its own. The first route that says so answers. */
  covers(path: string): boolean;
  handle(request: IncomingMessage, response: ServerResponse): void;
}

/** What is served over HTTPS. */
export interface HttpsFrontOptions {
  listen: { host: string; port: number };
  tls: Pick<ServerTls, 'certificate' | 'key'>;
  /** Origin that browsers know it by. */
  publicUrl: string;
  routes: readonly HttpsRoute[];
}

/** The HTTPS listener as a part. */
export interface HttpsFront {
  readonly part: Part;
  /** Port once the part has started. */
  port(): number;
}

/** Limits against clients that send slowly or never end (milliseconds). */
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 30_000;

/** Half a year, in seconds (RFC 6797 section 6.1.1). */
const strictTransportSeconds = 15_552_000;

/** Nothing may be loaded, framed or sent anywhere unless a page says otherwise. */
const defaultPolicy =
  "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** Makes the HTTPS listener of browsers and curl: TLS 1.2 or later, security headers on every answer. */
export function createHttpsFront(options: HttpsFrontOptions): HttpsFront {
  const { listen, publicUrl, routes, tls } = options;
  const headers = securityHeaders(publicUrl);
  let server: Server | undefined;
  let port = listen.port;
  const part: Part = {
    name: 'HTTPS',
    start: async () => {
      server = createServer({ cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2' });
      server.headersTimeout = headersTimeoutMs;
      server.requestTimeout = requestTimeoutMs;
      server.on('request', (request, response) => {
        for (const [name, value] of headers) response.setHeader(name, value);
        answer(routes, request, response);
      });
      port = await bind(server, listen);
    },
    stop: async () => {
      if (server !== undefined) await close(server);
    },
  };
  return { part, port: () => port };
}

function answer(
  routes: readonly HttpsRoute[],
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const path = request.url?.split('?')[0] ?? '/';
  const route = routes.find((candidate) => candidate.covers(path));
  if (route !== undefined) return route.handle(request, response);
  response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('not found\n');
}

function securityHeaders(publicUrl: string): [string, string][] {
  const headers: [string, string][] = [
    ['content-security-policy', defaultPolicy],
    ['x-content-type-options', 'nosniff'],
    ['x-frame-options', 'DENY'],
    ['referrer-policy', 'same-origin'],
    ['cross-origin-opener-policy', 'same-origin'],
    ['cross-origin-resource-policy', 'same-origin'],
    ['cache-control', 'no-store'],
  ];
  // On localhost it would force every other program of this machine to HTTPS as well.
  if (!isLoopbackHost(new URL(publicUrl).hostname)) {
    headers.push(['strict-transport-security', `max-age=${strictTransportSeconds}`]);
  }
  return headers;
}

function isLoopbackHost(host: string): boolean {
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host.startsWith('127.') ||
    host === '[::1]'
  );
}

function bind(server: Server, { host, port }: HttpsFrontOptions['listen']): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

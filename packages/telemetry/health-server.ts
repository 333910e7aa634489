import { createServer, type Server } from 'node:http';
import type { RequestHandler } from './telemetry-options.ts';

/** Options of the health and metrics server. */
export interface HealthServerOptions {
  host: string;
  /** 0 lets the system choose. */
  port: number;
  /** Answers /metrics; absent for a process without metrics. */
  handleMetrics?: RequestHandler;
  /** Resolves when the process can do its work; its rejection's message is shown. For /readyz. */
  checkReady: () => Promise<void>;
}

/** A health server that listens. */
export interface RunningHealthServer {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Serves /healthz (the process lives), /readyz (it can do its work) and /metrics (Prometheus), on an address of their
 * own: plain HTTP, nothing secret, read only.
 *
 * @throws when the address cannot be bound
 */
export async function startHealthServer(
  options: HealthServerOptions,
): Promise<RunningHealthServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    const answer = (status: number, text: string): void => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'read only');
    if (path === '/healthz') return answer(200, 'ok');
    if (path === '/metrics' && options.handleMetrics !== undefined)
      return options.handleMetrics(request, response);
    if (path !== '/readyz')
      return answer(404, 'not found: /healthz, /readyz and /metrics are here');
    options.checkReady().then(
      () => answer(200, 'ready'),
      (error: unknown) => answer(503, error instanceof Error ? error.message : 'not ready'),
    );
  });
  const port = await listen(server, options);
  return { port, stop: () => close(server) };
}

function listen(server: Server, { host, port }: HealthServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
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

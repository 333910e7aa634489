import { type IncomingMessage, request } from 'node:http';
import { Socket } from 'node:net';
import { authorityOf, type HttpProxy } from './http-proxy.ts';
import type { Destination } from './proxy-settings.ts';

/** Why a proxy opened no tunnel: it cannot be reached, asks for other credentials, forbids it, or cannot do it. */
export type ProxyFailure = 'unreachable' | 'credentials' | 'forbidden' | 'failed';

/** A proxy opened no tunnel. The message names proxy, destination and status, never the password. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  readonly reason: ProxyFailure;
  readonly proxy: HttpProxy;
  readonly destination: Destination;
  /** Status of the proxy's answer; undefined where there was none. */
  readonly status: number | undefined;

  constructor(
    reason: ProxyFailure,
    tunnel: { proxy: HttpProxy; destination: Destination; status?: number },
    options?: ErrorOptions,
  ) {
    const { proxy, destination, status } = tunnel;
    const answer = status === undefined ? '' : ` (status ${status})`;
    super(`no tunnel through ${proxy.origin} to ${authorityOf(destination)}${answer}`, options);
    this.reason = reason;
    this.proxy = proxy;
    this.destination = destination;
    this.status = status;
  }
}

/** How long a tunnel is waited for. */
export interface TunnelOptions {
  /** Default 10,000: the proxy itself may wait for the destination. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Opens a connection to a host and port through a proxy (CONNECT, RFC 9110 section 9.3.6). The proxy looks up the name.
 *
 * @throws {ProxyError} where there is none in time; the signal's reason when it aborts
 */
export function openTunnel(
  proxy: HttpProxy,
  host: string,
  port: number,
  options: TunnelOptions = {},
): Promise<Socket> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
  const destination = { host, port };
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const authority = authorityOf(destination);
  const connecting = request({
    method: 'CONNECT',
    host: proxy.host,
    port: proxy.port,
    path: authority,
    headers: { host: authority, ...authorizationOf(proxy) },
    agent: false,
  });
  const timer = setTimeout(() => connecting.destroy(timedOut()), timeoutMs);
  const onAbort = (): void => void connecting.destroy();
  signal?.addEventListener('abort', onAbort);
  connecting.once('connect', (answer, socket, head) => {
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300 && socket instanceof Socket) {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
      return;
    }
    socket.destroy();
    reject(new ProxyError(failureOf(answer), { proxy, destination, status }));
  });
  connecting.once('error', (cause) => {
    const error = new ProxyError('unreachable', { proxy, destination }, { cause });
    reject(signal?.aborted === true ? signal.reason : error);
  });
  if (signal?.aborted === true) connecting.destroy();
  connecting.end();
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  });
}

function timedOut(): Error {
  return Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' });
}

function authorizationOf(proxy: HttpProxy): { 'proxy-authorization'?: string } {
  const credentials = proxy.exportCredentials();
  if (credentials === undefined) return {};
  return { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
}

/** Credentials that are wrong rather than missing are answered by some proxies with 401, as origin servers do. */
function failureOf({ statusCode = 0 }: IncomingMessage): ProxyFailure {
  if (statusCode === 407 || statusCode === 401) return 'credentials';
  return statusCode >= 400 && statusCode < 500 ? 'forbidden' : 'failed';
}

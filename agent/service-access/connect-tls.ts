import { connect, type TLSSocket } from 'node:tls';
import { openTunnel } from './open-tunnel.ts';
import { type ProxySettings, proxyTo } from './proxy-settings.ts';
import { serverNameOf, type ServiceUrl } from './service-url.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** Whom a connection believes: a CA in PEM; undefined: the system's; `anybody`: only to look at certificates. */
export type Belief = { readonly caPem: string | undefined } | 'anybody';

/**
 * Connects to a service, directly or through the proxy: as calls do (`h2`), or as the TLS lane of a relay does
 * (`http/1.1`). The caller ends the socket.
 *
 * @throws {ProxyError} and the errors of sockets and TLS as they are
 */
export async function connectTls(
  service: ServiceUrl,
  proxies: ProxySettings,
  belief: Belief,
  protocol: 'h2' | 'http/1.1' = 'h2',
): Promise<TLSSocket> {
  const proxy = proxyTo(proxies, service);
  const tunnel = proxy && (await openTunnel(proxy, service.host, service.port));
  return new Promise((resolve, reject) => {
    const socket = connect({
      socket: tunnel,
      host: service.host,
      port: service.port,
      servername: serverNameOf(service),
      ALPNProtocols: [protocol],
      ...(belief === 'anybody' ? { rejectUnauthorized: false } : { ca: belief.caPem }),
    });
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => {
      socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }));
    });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}

import type { HostProcess } from './host-process.ts';
import type { VirtualHost } from './virtual-host.ts';

/** What an HTTP proxy lets through, and for whom. */
export type HttpProxyOptions = {
  /** Where it listens: an address of its host. */
  readonly address: string;
  /** Ports that CONNECT may name. Default: 443 alone. */
  readonly connectPorts?: readonly number[];
  /** Asked of every client by basic authentication. Letters and digits. Default: nobody is asked. */
  readonly credentials?: { readonly user: string; readonly password: string };
};

/** A running HTTP proxy. */
export interface HttpProxy extends AsyncDisposable {
  /** `http://address:port`, with the credentials where it asks for some. */
  readonly url: string;
  readonly port: number;
  /** Its log tells each request. */
  readonly process: HostProcess;
}

/** Hosts have a network of their own, so one port serves all; it is the usual one of such proxies. */
const PROXY_PORT = 3128;
const START_DEADLINE_MS = 20_000;
const CONFIGURATION = '/run/tinyproxy.conf';

/**
 * Starts tinyproxy on a host; ends with the host.
 *
 * @throws CommandError when it does not come up.
 */
export async function startHttpProxy(
  host: VirtualHost,
  options: HttpProxyOptions,
): Promise<HttpProxy> {
  const { address, credentials, connectPorts = [443] } = options;
  const configuration = [
    `Listen ${address}`,
    `Port ${PROXY_PORT}`,
    'Timeout 600',
    'MaxClients 200',
    'LogLevel Info',
    ...connectPorts.map((port) => `ConnectPort ${port}`),
    ...(credentials ? [`BasicAuth ${credentials.user} ${credentials.password}`] : []),
  ];
  await host.run('sh', ['-c', `cat > ${CONFIGURATION}`], {
    stdin: `${configuration.join('\n')}\n`,
  });
  const process = await host.spawn('tinyproxy', ['-d', '-c', CONFIGURATION]);
  await process.waitForLine(/Accepting connections/, { deadlineMs: START_DEADLINE_MS });
  const user = credentials ? `${credentials.user}:${credentials.password}@` : '';
  return {
    url: `http://${user}${address}:${PROXY_PORT}`,
    port: PROXY_PORT,
    process,
    async [Symbol.asyncDispose]() {
      await process.stop();
    },
  };
}

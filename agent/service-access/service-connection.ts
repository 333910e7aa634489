import { isIPv6 } from 'node:net';
import type { Channel } from '@grpc/grpc-js';
import { type GetServiceInfoResponse, ServiceInfoServiceDefinition } from '@nexodus/contracts/api';
import { createRpcClient, openChannel, RpcError, Status } from '@nexodus/rpc';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { diagnoseConnection } from './explain-connect-failure.ts';
import { type ProxySettings, proxyTo } from './proxy-settings.ts';
import type { ServiceUrl } from './service-url.ts';

/** A way to a service that this machine believes. */
export interface ServiceConnection {
  readonly url: ServiceUrl;
  /** CA that is believed, PEM; undefined: the system's. */
  readonly caPem: string | undefined;
  /** What of it goes through a proxy, and what is opened besides it. */
  readonly proxies: ProxySettings;
  readonly channel: Channel;
  /** Idempotent. */
  close(): void;
}

/** What a client may differ from the service in time before its assertions are refused (protocol.md section 1). */
const CLOCK_SKEW_LIMIT_MS = 60_000;

/**
 * Opens the way; nothing is sent before the first call.
 *
 * @throws {CommandError} `usage` for an IPv6 address behind a proxy: the library of the calls asks proxies only for names
 * and IPv4 addresses
 */
export function openServiceConnection(
  url: ServiceUrl,
  caPem: string | undefined,
  proxies: ProxySettings,
): ServiceConnection {
  const proxy = proxyTo(proxies, url);
  if (proxy !== undefined && isIPv6(url.host)) {
    throw new CommandError(
      ExitCode.usage,
      `The service URL ${url.origin} is an IPv6 address, and a proxy is to be used`,
      'Name the service by a host name, or its address in NO_PROXY',
    );
  }
  const tunnel = proxy && {
    host: proxy.host,
    port: proxy.port,
    credentials: proxy.exportCredentials(),
  };
  const channel = openChannel({ address: url.origin, tls: { ca: caPem }, proxy: tunnel });
  return { url, caPem, proxies, channel, close: () => channel.close() };
}

/**
 * Asks the service what it is, and makes sure that it is the one meant.
 *
 * @throws {CommandError} `unreachable` or `untrusted` with the cause; `usage` when the service goes by another URL;
 * `clockSkew` when the clocks are more than 60 s apart
 */
export async function checkService(
  connection: ServiceConnection,
  now: () => number,
): Promise<GetServiceInfoResponse> {
  const client = createRpcClient(ServiceInfoServiceDefinition, connection.channel);
  const info = await explained(connection, () => client.getServiceInfo({}));
  const { origin } = connection.url;
  if (!info.audiences.includes(origin)) {
    const names = info.audiences.join(' or ');
    throw new CommandError(
      ExitCode.usage,
      `The service at ${origin} calls itself ${names === '' ? 'nothing' : names}`,
      `Use that URL, or set public_url at the service to ${origin}`,
    );
  }
  const skewMs = now() - Number(info.serverTimeMs);
  if (Math.abs(skewMs) > CLOCK_SKEW_LIMIT_MS) {
    const seconds = Math.round(Math.abs(skewMs) / 1000);
    throw new CommandError(
      ExitCode.clockSkew,
      `The clock of this machine is ${seconds} s ${skewMs < 0 ? 'behind' : 'ahead of'} the service's`,
      'Set it (for instance `timedatectl set-ntp true`) and try again',
    );
  }
  return info;
}

/** Runs calls; where the service cannot be reached, the error says why as exactly as can be found out. */
export async function explained<T>(
  { url, caPem, proxies }: Pick<ServiceConnection, 'url' | 'caPem' | 'proxies'>,
  calls: () => Promise<T>,
): Promise<T> {
  try {
    return await calls();
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const isUnreachable =
      error.code === Status.UNAVAILABLE || error.code === Status.DEADLINE_EXCEEDED;
    const isForeign = error.code === Status.UNIMPLEMENTED || error.code === Status.UNKNOWN;
    if (isUnreachable) throw (await diagnoseConnection({ service: url, caPem, proxies })) ?? error;
    if (!isForeign) throw error;
    throw new CommandError(
      ExitCode.unreachable,
      `What answers at ${url.origin} is not the API of a Nexodus service of this release`,
      'Use the service URL that the service prints at its start',
      { cause: error },
    );
  }
}

import { ConfigError, type ListenAddress } from '@nexodus/config';
import {
  claimPort,
  exampleAddress,
  formatHost,
  hasIpv6Loopback,
  isLoopback,
  isWildcard,
  variableOf,
} from './listen-address.ts';
import type { StandaloneSettings } from './settings.ts';

/** A server and the origin by which others know it. */
export interface PublicAddress {
  listen: ListenAddress;
  /** Origin without a slash at the end. */
  publicUrl: string;
}

/** Where everything listens. Every port is known. */
export interface ServiceAddresses {
  api: PublicAddress;
  https: PublicAddress;
  stun: ListenAddress[];
  /** Addresses that clients reach STUN at, where they differ. */
  stunPublic: ListenAddress[];
  /** The relay's public listener. */
  relay: PublicAddress;
  metrics: ListenAddress;
}

const httpsPort = 8_443;
const stunPort = 3_478;
const relayPort = 8_444;

/**
 * Completes the addresses by those that the settings leave open, and makes sure that each is free.
 *
 * @throws {ConfigError} that names address, setting and remedy
 */
export async function resolveAddresses(settings: StandaloneSettings): Promise<ServiceAddresses> {
  const { host } = settings.api.listen;
  const httpsListen = settings.https.listen ?? { host, port: httpsPort };
  const api = await publicAddress('api', settings.api.listen, settings.api.public_url);
  const https = await publicAddress(
    'https',
    httpsListen,
    settings.https.public_url ?? sameHost(api, httpsListen),
  );
  const relayListen = settings.relay.listen ?? { host, port: relayPort };
  const relay = await publicAddress(
    'relay',
    relayListen,
    settings.relay.public_url ?? sameHost(api, relayListen),
  );
  const stun: ListenAddress[] = [];
  for (const listen of settings.stun.listen ?? defaultStun(host)) {
    stun.push({
      ...listen,
      port: await claimPort({ ...listen, setting: 'stun.listen', transport: 'udp' }),
    });
  }
  const metricsPort = await claimPort({
    ...settings.metrics.listen,
    setting: 'metrics.listen',
    transport: 'tcp',
  });
  return {
    api,
    https,
    stun,
    stunPublic: publicStun(settings, api, stun),
    relay,
    metrics: { ...settings.metrics.listen, port: metricsPort },
  };
}

async function publicAddress(
  part: 'api' | 'https' | 'relay',
  listen: ListenAddress,
  publicUrl: string | undefined,
): Promise<PublicAddress> {
  const setting = `${part}.listen`;
  const port = await claimPort({ ...listen, setting, transport: 'tcp' });
  if (publicUrl !== undefined)
    return { listen: { ...listen, port }, publicUrl: new URL(publicUrl).origin };
  if (isWildcard(listen.host)) {
    const example = `https://${exampleAddress()}:${port}`;
    throw new ConfigError([
      `${part}.public_url: is needed since ${setting} means every address; set ${variableOf(`${part}.public_url`)}, such as ${example}`,
    ]);
  }
  return { listen: { ...listen, port }, publicUrl: `https://${formatHost(listen.host)}:${port}` };
}

/** Where only the API's URL is given and both listen on the same host, both are known by the same name. */
function sameHost(api: PublicAddress, https: ListenAddress): string | undefined {
  const { hostname } = new URL(api.publicUrl);
  const isNamed = hostname !== formatHost(api.listen.host) && api.listen.host === https.host;
  return isNamed && https.port !== 0 ? `https://${hostname}:${https.port}` : undefined;
}

function defaultStun(host: string): ListenAddress[] {
  if (host === 'localhost' || host === '127.0.0.1') {
    const four = { host: '127.0.0.1', port: stunPort };
    return hasIpv6Loopback() ? [four, { host: '::1', port: stunPort }] : [four];
  }
  return [{ host, port: stunPort }];
}

/** A wildcard address is none that a client could be told: where the API has an address as its name, STUN has it too. */
function publicStun(
  settings: StandaloneSettings,
  api: PublicAddress,
  stun: readonly ListenAddress[],
): ListenAddress[] {
  if (settings.stun.public_addresses.length > 0) return settings.stun.public_addresses;
  const [first] = stun;
  const host = new URL(api.publicUrl).hostname.replace(/^\[(.*)\]$/, '$1');
  const isAddress = host.includes(':') || /^[\d.]+$/.test(host);
  if (first === undefined || !isWildcard(first.host) || !isAddress) return [];
  return [{ host, port: first.port }];
}

/** Whether programs of other machines can reach the API. */
export function isOpenToOthers({ api }: ServiceAddresses): boolean {
  return !isLoopback(api.listen.host);
}

/** Names and addresses that the public certificate must hold. */
export function certificateHosts({ api, https, relay }: ServiceAddresses): string[] {
  const named = [api, https, relay].flatMap(({ listen, publicUrl }) => [
    listen.host,
    new URL(publicUrl).hostname.replace(/^\[(.*)\]$/, '$1'),
  ]);
  const hosts = ['localhost', '127.0.0.1', '::1', ...named.filter((host) => !isWildcard(host))];
  return [...new Set(hosts)];
}

/** Where this machine itself reaches a server that listens there. */
export function dialledHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '[::1]' : formatHost(host);
}

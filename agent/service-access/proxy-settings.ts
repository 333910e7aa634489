/**
 * Which connections go through an HTTP proxy. One rule for all that the programs open (calls, the control stream, the
 * login at an issuer, the look at a service's CA, the TLS lane of relays): the proxy is that of `--proxy`, else of
 * `https_proxy`, else of `HTTPS_PROXY`; an empty `--proxy` is none. Hosts that `no_proxy`, else `NO_PROXY`, names are
 * reached directly, however the proxy was named, and so is this machine itself.
 */
import {
  hostPrefix,
  InvalidAddressError,
  type IpAddress,
  type IpPrefix,
  parseIpAddress,
  parseIpPrefix,
  prefixContains,
  prefixOf,
} from '@nexodus/netip';
import { type HttpProxy, parseHttpProxy } from './http-proxy.ts';

/** A proxy and its exceptions. */
export interface ProxySettings {
  /** Undefined: everything is reached directly. */
  readonly proxy: HttpProxy | undefined;
  /** Entries of `no_proxy`. */
  readonly exceptions: readonly string[];
}

/** Where a connection goes to. */
export interface Destination {
  /** Host name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Nothing goes through a proxy. */
export const DIRECT: ProxySettings = { proxy: undefined, exceptions: [] };

/**
 * Reads option and environment.
 *
 * @param option what `--proxy` says; undefined where it was not given
 * @throws {CommandError} `usage` for what is no `http://` proxy
 */
export function readProxySettings(
  option: string | undefined,
  env: Readonly<NodeJS.ProcessEnv>,
): ProxySettings {
  const exceptions = (env.no_proxy ?? env.NO_PROXY ?? '').split(/[\s,]+/).filter(Boolean);
  const named =
    option === undefined ? namedByEnvironment(env) : { source: '--proxy', text: option };
  const proxy = named.text === '' ? undefined : parseHttpProxy(named.text, named.source);
  return { proxy, exceptions };
}

/** The proxy for a connection; undefined where it is direct. */
export function proxyTo(
  { proxy, exceptions }: ProxySettings,
  destination: Destination,
): HttpProxy | undefined {
  if (proxy === undefined || isThisMachine(destination.host)) return undefined;
  return exceptions.some((entry) => isExcepted(entry, destination)) ? undefined : proxy;
}

function namedByEnvironment(env: Readonly<NodeJS.ProcessEnv>): { source: string; text: string } {
  const lower = env.https_proxy;
  if (lower !== undefined) return { source: 'https_proxy', text: lower };
  return { source: 'HTTPS_PROXY', text: env.HTTPS_PROXY ?? '' };
}

const LOOPBACK = ['127.0.0.0/8', '::1/128'].map((text) => parseIpPrefix(text));

function isThisMachine(host: string): boolean {
  const address = addressIn(host);
  if (address !== undefined) return LOOPBACK.some((prefix) => prefixContains(prefix, address));
  return /^(.+\.)?localhost\.?$/i.test(host);
}

/**
 * An entry is `*`, a domain (which stands for its subdomains too, with or without a leading `.` or `*.`), an address or
 * a prefix; `:port` restricts it to that port, with brackets around an IPv6 address.
 */
function isExcepted(entry: string, { host, port }: Destination): boolean {
  const split = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(entry);
  if (split !== null && Number(split[3]) !== port) return false;
  const name = split?.[1] ?? split?.[2] ?? entry.replace(/^\[(.*)\]$/, '$1');
  if (name === '*') return true;
  const address = addressIn(host);
  if (address !== undefined) {
    const prefix = prefixIn(name);
    return prefix !== undefined && prefixContains(prefix, address);
  }
  const domain = name
    .replace(/^\*?\./, '')
    .replace(/\.$/, '')
    .toLowerCase();
  const wanted = host.replace(/\.$/, '').toLowerCase();
  return domain !== '' && (wanted === domain || wanted.endsWith(`.${domain}`));
}

function addressIn(text: string): IpAddress | undefined {
  return unlessInvalid(() => parseIpAddress(text));
}

function prefixIn(text: string): IpPrefix | undefined {
  const [, base = '', length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  return unlessInvalid(() => {
    const address = parseIpAddress(base);
    return length === undefined ? hostPrefix(address) : prefixOf(address, Number(length));
  });
}

/** Entries that are no address are domains, and ones that are neither except nothing. */
function unlessInvalid<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof InvalidAddressError) return undefined;
    throw error;
  }
}

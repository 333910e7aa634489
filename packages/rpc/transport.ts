import type { Surface } from './surface.ts';
import { Channel, ChannelCredentials, type ChannelOptions, ServerCredentials } from '@grpc/grpc-js';

/** Certificate and key that a server shows, and whom it lets in. PEM throughout. */
export interface ServerTls {
  /** Certificate chain, leaf first. */
  certificate: string;
  /** Private key of the leaf. */
  key: string;
  /** CA whose certificates clients must show (mTLS); absent lets any client in. */
  clientCa?: string;
}

/** Whom a client believes, and what it shows. PEM throughout. */
export interface ClientTls {
  /** CA of the server's certificate; absent for the system's. */
  ca?: string;
  /** Certificate chain that the client shows (mTLS), leaf first. */
  certificate?: string;
  /** Private key of that certificate. */
  key?: string;
  /** Name to check in the server's certificate, where the address does not say it (unix sockets). */
  serverName?: string;
}

/** Largest message that is taken or sent, in bytes: a snapshot of a large VPC fits. */
const maxMessageBytes = 16 * 1024 * 1024;

/**
 * Pings keep streams through NATs and notice a dead peer within 30 s (20 s + 10 s).
 */
const keepAlive: ChannelOptions = {
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 0,
};

/** Largest request that anybody may send to the public server, in bytes: it is read before it is known who sends it. */
const largestPublicRequestBytes = 256 * 1024;

/** Calls that run at once on one connection to the public server: a gateway's connection carries those of many people. */
const mostPublicStreams = 1_000;

/** A connection to the public server on which no call runs is closed after so long; clients open another. */
const publicIdleMs = 300_000;

/** What one connection to a server may take. */
export interface ConnectionLimits {
  /** Calls that run at once. */
  readonly streams: number;
  /** A connection on which no call runs is closed after so long. */
  readonly idleMs: number;
}

const publicLimits: ConnectionLimits = { streams: mostPublicStreams, idleMs: publicIdleMs };

/** Options of a server on a surface; without limits, those of the surface. */
export function serverOptions(surface: Surface, limits?: ConnectionLimits): ChannelOptions {
  const isPublic = surface === 'public';
  const connection = limits ?? (isPublic ? publicLimits : undefined);
  return {
    'grpc.max_receive_message_length': isPublic ? largestPublicRequestBytes : maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    ...(connection !== undefined && {
      'grpc.max_concurrent_streams': connection.streams,
      'grpc.max_connection_idle_ms': connection.idleMs,
    }),
    ...keepAlive,
  };
}

/** Credentials of a server; plain only where the address is a unix socket that file permissions guard. */
export function serverCredentials(tls: ServerTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { cert_chain: Buffer.from(tls.certificate), private_key: Buffer.from(tls.key) };
  const ca = tls.clientCa === undefined ? null : Buffer.from(tls.clientCa);
  return ServerCredentials.createSsl(ca, [pair], ca !== null);
}

/** Options of a channel. */
export interface ChannelTarget {
  /** `host:port`, `[ipv6]:port`, `https://host:port` or `unix:/path`. */
  address: string;
  /** Absent only for a unix socket that file permissions guard. */
  tls?: ClientTls;
  /** HTTP proxy that opens the connection by CONNECT; the environment is not looked at. Not for an IPv6 address. */
  proxy?: ChannelProxy;
}

/** An HTTP proxy. */
export interface ChannelProxy {
  /** Host name or IP address, without brackets. */
  host: string;
  port: number;
  /** `user:password` for basic authentication. */
  credentials?: string;
}

/**
 * Opens a channel. It connects at the first call, and again whenever the connection is lost, after 0.1 to 5 s.
 *
 * @throws when a network address has no TLS
 */
export function openChannel({ address, tls, proxy }: ChannelTarget): Channel {
  const target = address.replace(/^https:\/\//, '').replace(/\/$/, '');
  if (tls === undefined && !target.startsWith('unix:')) throw new Error(`${address} needs TLS`);
  return new Channel(proxy ? proxyTarget(proxy) : target, channelCredentials(tls), {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.initial_reconnect_backoff_ms': 100,
    // Despite its name, the longest that an attempt to connect may take, TLS handshake and first settings included.
    'grpc.min_reconnect_backoff_ms': 10_000,
    'grpc.max_reconnect_backoff_ms': 5_000,
    'grpc.enable_http_proxy': 0,
    // No TXT records are asked for: they would only delay the first call where the DNS is slow.
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1,
    ...keepAlive,
    ...(proxy && proxyOptions(target, proxy)),
    ...(tls?.serverName === undefined
      ? {}
      : {
          'grpc.ssl_target_name_override': tls.serverName,
          'grpc.default_authority': tls.serverName,
        }),
  });
}

function proxyTarget({ host, port }: ChannelProxy): string {
  return host.includes(':') ? `dns:[${host}]:${port}` : `dns:${host}:${port}`;
}

/** The library sets these itself where it finds a proxy in the environment, which is not where ours comes from. */
function proxyOptions(target: string, { credentials }: ChannelProxy): ChannelOptions {
  return {
    'grpc.http_connect_target': `dns:${target}`,
    'grpc.default_authority': target,
    ...(credentials === undefined ? {} : { 'grpc.http_connect_creds': credentials }),
  };
}

function channelCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return ChannelCredentials.createInsecure();
  const bytes = (pem: string | undefined): Buffer | undefined =>
    pem === undefined ? undefined : Buffer.from(pem);
  return ChannelCredentials.createSsl(bytes(tls.ca), bytes(tls.key), bytes(tls.certificate));
}

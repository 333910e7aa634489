import { readFileSync } from 'node:fs';
import { ConfigError, listenAddress, secretFile } from '@nexodus/config';
import type { ClientTls, ServerTls } from '@nexodus/rpc';
import { z } from 'zod';

/** Settings that every service process has. */
export const processSettings = z.object({
  /** Least level that is logged. */
  log_level: z.enum(['error', 'warn', 'info', 'debug', 'trace']).default('info'),
  /** Where /healthz, /readyz and /metrics are served, over plain HTTP. */
  metrics: z.object({ listen: listenAddress.prefault('127.0.0.1:9464') }).prefault({}),
  /** OTLP/gRPC endpoint for traces; none when absent. */
  otlp_endpoint: z.url().optional(),
  /** The server for other services, and the certificate this one shows to them. */
  internal: z.object({
    /** `host:port`, `[ipv6]:port` or `unix:/path`. */
    listen: z.string().min(1),
    certificate_file: z.string().min(1),
    key_file: secretFile,
    ca_file: z.string().min(1),
    /** Overrides which services may call which methods: full method names or `/package.Service/*`. */
    callers: z.record(z.string(), z.array(z.string())).default({}),
  }),
});

/** Settings of a process. */
export type ProcessSettings = z.output<typeof processSettings>;

/** Settings of a connection to PostgreSQL. */
export const databaseSettings = z.object({
  /** Such as postgres://ipam@db.example/nexodus. Without a password: that has a file of its own. */
  url: z
    .string()
    .refine((url) => !holdsPassword(url), 'must not hold a password: use password_file'),
  /** File that holds the password. */
  password_file: secretFile.optional(),
});

/** Whether a password stands before the host, or among the parameters. */
function holdsPassword(url: string): boolean {
  const [address = '', ...query] = url.split('?');
  const userInfo = /^[^:]+:\/\/(.*)@/.exec(address)?.[1] ?? '';
  return userInfo.includes(':') || new URLSearchParams(query.join('?')).has('password');
}

/** The connection as `pg` takes it. The password is a parameter, because a URL of a socket has no place before a host. */
export function databaseConnection(settings: z.output<typeof databaseSettings>): string {
  const { url, password_file: passwordFile } = settings;
  if (passwordFile === undefined) return url;
  const password = encodeURIComponent(readText(passwordFile).trim());
  return `${url}${url.includes('?') ? '&' : '?'}password=${password}`;
}

/** Settings of a connection to NATS. */
export const natsSettings = z.object({
  /** Such as nats://nats.example:4222 or tls://nats.example:4222. */
  servers: z.array(z.string()).min(1),
  /** CA of the servers' certificates. */
  ca_file: z.string().optional(),
  /** Certificate that this process shows to a server that demands one, and its key. */
  certificate_file: z.string().optional(),
  key_file: secretFile.optional(),
  /** NATS credentials file (JWT and seed). */
  credentials_file: secretFile.optional(),
});

/** Name in the certificate of a service, whatever address it is reached at. */
export function internalServerName(service: string): string {
  return `${service}.nexodus.internal`;
}

/** What the internal server of a process shows and demands. */
export function internalServerTls(settings: ProcessSettings['internal']): ServerTls {
  return {
    certificate: readText(settings.certificate_file),
    key: readText(settings.key_file),
    clientCa: readText(settings.ca_file),
  };
}

/** What a process shows to, and demands of, another service. */
export function internalClientTls(
  settings: ProcessSettings['internal'],
  service: string,
): ClientTls {
  return {
    ca: readText(settings.ca_file),
    certificate: readText(settings.certificate_file),
    key: readText(settings.key_file),
    serverName: internalServerName(service),
  };
}

/**
 * Reads a file that a setting names.
 *
 * @throws {ConfigError} that names the file
 */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError([
      `${file}: cannot be read (${error instanceof Error ? error.message : String(error)})`,
    ]);
  }
}

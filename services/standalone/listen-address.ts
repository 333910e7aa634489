import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { ConfigError, type ListenAddress } from '@nexodus/config';

/** An address that something will listen on, and the setting that says so. */
export interface PlannedListener extends ListenAddress {
  /** Key in the settings, such as "api.listen". */
  setting: string;
  transport: 'tcp' | 'udp';
}

/** A TCP port of this address that nobody uses at the moment. */
export async function freePort(host: string): Promise<number> {
  return probe({ host, port: 0, setting: '', transport: 'tcp' });
}

/**
 * The port to listen on: the planned one, or a free one for port 0, since URLs and certificates hold it before anything
 * listens.
 *
 * @throws {ConfigError} when another process has it, or this machine does not have the address
 */
export async function claimPort(listener: PlannedListener): Promise<number> {
  try {
    return await probe(listener);
  } catch (error) {
    throw new ConfigError([explain(listener, codeOf(error))]);
  }
}

function explain({ host, port, setting, transport }: PlannedListener, code: string): string {
  const at = `${transport === 'udp' ? 'UDP ' : ''}${formatHost(host)}:${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return `another process listens on ${at}: set ${setting} (${variableOf(setting)}) to a free port, or stop that process`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `this machine has no address ${host}: set ${setting} (${variableOf(setting)}) to one that it has`;
    case 'EACCES':
      return `this user may not listen on ${at}: set ${setting} (${variableOf(setting)}) to a port from 1024 on`;
    default:
      return `cannot listen on ${at} (${code}): change ${setting} (${variableOf(setting)})`;
  }
}

/** The environment variable of a setting. */
export function variableOf(setting: string): string {
  return `NEXODUS_${setting.replaceAll('.', '_').toUpperCase()}`;
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string')
    return error.code;
  return String(error);
}

async function probe(listener: PlannedListener): Promise<number> {
  return listener.transport === 'udp' ? probeUdp(listener) : probeTcp(listener);
}

function probeTcp({ host, port }: ListenAddress): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : port;
      server.close(() => resolve(bound));
    });
  });
}

function probeUdp({ host, port }: ListenAddress): Promise<number> {
  const isSix = host.includes(':');
  const socket = createSocket({ type: isSix ? 'udp6' : 'udp4', ipv6Only: isSix });
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address: host, port, exclusive: true }, () => {
      const bound = socket.address().port;
      socket.close(() => resolve(bound));
    });
  });
}

/** A host as it is written before a port. */
export function formatHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Whether only programs of this machine can reach it. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return bare === 'localhost' || bare === '::1' || bare.startsWith('127.');
}

/** Whether it stands for every address of the machine. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** An address of this machine that others may reach, for use in examples. */
export function exampleAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outer = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  return outer?.address ?? '192.0.2.1';
}

/** Whether this machine can listen on the IPv6 loopback address. */
export function hasIpv6Loopback(): boolean {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.some(({ address }) => address === '::1');
}

import { isIP } from 'node:net';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';

/** Where the service's public gRPC listens. */
export interface ServiceUrl {
  /** `https://host:port`, lower case, port always named: the audience of assertions and proofs. */
  readonly origin: string;
  /** Host name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORT = 443;

/**
 * Reads the service's address as people write it.
 *
 * @throws {CommandError} `usage` for anything but https with a host and perhaps a port
 */
export function parseServiceUrl(text: string): ServiceUrl {
  if (/^http:/i.test(text)) {
    throw usage(`The service URL ${text} is not encrypted`, 'Use the https:// URL of the service');
  }
  const isUrl = URL.canParse(text) && /^https:\/\//i.test(text);
  const url = isUrl ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '') {
    throw usage(
      `${JSON.stringify(text)} is no service URL`,
      'Write it like https://nexodus.example:7443',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw usage('The service URL holds a user name or password', 'Leave them out');
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw usage(`The service URL ${text} has a path`, `Leave out what follows ${url.origin}`);
  }
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { origin: `https://${url.hostname}:${port}`, host, port };
}

/** Name to verify in the server's certificate by SNI; undefined for an IP address (RFC 6066 section 3). */
export function serverNameOf({ host }: ServiceUrl): string | undefined {
  return isIP(host) === 0 ? host : undefined;
}

function usage(message: string, remedy: string): CommandError {
  return new CommandError(ExitCode.usage, message, remedy);
}

import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';

/** RFC 9110 section 4.2.1; other ports stand in the URL. */
const DEFAULT_PORT = 80;

/** An HTTP proxy that opens tunnels by CONNECT (RFC 9110 section 9.3.6). Its password shows in no form of printing. */
export class HttpProxy {
  /** Host name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly #credentials: string | undefined;

  /** @param credentials `user:password` for basic authentication (RFC 7617) */
  constructor(host: string, port: number, credentials?: string) {
    this.host = host;
    this.port = port;
    this.#credentials = credentials;
  }

  /** `http://host:port`: for messages. */
  get origin(): string {
    return `http://${authorityOf(this)}`;
  }

  get hasCredentials(): boolean {
    return this.#credentials !== undefined;
  }

  /** `user:password`, undefined where there is none. A secret: only for the proxy itself. */
  exportCredentials(): string | undefined {
    return this.#credentials;
  }

  toString(): string {
    return this.origin;
  }
}

/** `host:port`, with brackets around an IPv6 address: what CONNECT asks for. */
export function authorityOf({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Reads a proxy as people write it: `http://HOST:PORT`, `http://USER:PASSWORD@HOST:PORT` with percent-encoding, or without
 * the scheme.
 *
 * @param source the option or variable that names it, for the message: the text itself may hold a password
 * @throws {CommandError} `usage`
 */
export function parseHttpProxy(text: string, source: string): HttpProxy {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || url.hostname === '') throw unreadable(source);
  if (url.protocol !== 'http:') {
    throw new CommandError(
      ExitCode.usage,
      `${source} names a proxy of the kind ${url.protocol}//`,
      'Use an http:// proxy that allows CONNECT; the connections through it are encrypted anyway',
    );
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') throw unreadable(source);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const hasUser = url.username !== '' || url.password !== '';
  return new HttpProxy(host, port, hasUser ? credentialsOf(url, source) : undefined);
}

function credentialsOf({ username, password }: URL, source: string): string {
  try {
    return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    throw new CommandError(
      ExitCode.usage,
      `The user name or password in ${source} is not percent-encoded`,
      'Write % as %25',
    );
  }
}

function unreadable(source: string): CommandError {
  return new CommandError(
    ExitCode.usage,
    `${source} is no proxy URL`,
    'Write it like http://proxy.example:3128',
  );
}

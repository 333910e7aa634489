import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { authorityOf } from './http-proxy.ts';
import type { ProxyError } from './open-tunnel.ts';

/** Words why a proxy opened no tunnel. */
export function explainProxyFailure(error: ProxyError): CommandError {
  const { proxy, status } = error;
  const target = authorityOf(error.destination);
  const options = { cause: error };
  switch (error.reason) {
    case 'credentials':
      return new CommandError(
        ExitCode.credentials,
        proxy.hasCredentials
          ? `The proxy ${proxy.origin} does not accept the user name and password (${status})`
          : `The proxy ${proxy.origin} asks for a user name and password (${status})`,
        'Set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT; the proxy must offer basic authentication',
        options,
      );
    case 'forbidden':
      return new CommandError(
        ExitCode.unreachable,
        `The proxy ${proxy.origin} allows no connection to ${target} (${status})`,
        `Let the proxy's operator allow CONNECT to it; many proxies allow port 443 only, on which the service can listen`,
        options,
      );
    case 'failed':
      return new CommandError(
        ExitCode.unreachable,
        `The proxy ${proxy.origin} cannot connect to ${target} (${status})`,
        'Check --service-url and that the service runs; if the proxy need not be used, name the host in NO_PROXY',
        options,
      );
    case 'unreachable':
      return new CommandError(
        ExitCode.unreachable,
        unreachableCause(error),
        'Check --proxy or HTTPS_PROXY; if no proxy is needed, leave it out or name the host in NO_PROXY',
        options,
      );
  }
}

function unreachableCause({ proxy, cause }: ProxyError): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const at = `the proxy ${proxy.origin}`;
  const said: Readonly<Record<string, string>> = {
    ECONNREFUSED: `Nothing listens at ${at}`,
    ENOTFOUND: `The host name of ${at} is not known`,
    EAI_AGAIN: `The host name of ${at} cannot be looked up at the moment`,
    ETIMEDOUT: `No answer comes from ${at}`,
  };
  if (said[code] !== undefined) return said[code];
  if (code.startsWith('HPE_')) return `What answers at ${at} is no HTTP proxy`;
  return `No connection to ${at} comes about${code === '' ? '' : ` (${code})`}`;
}

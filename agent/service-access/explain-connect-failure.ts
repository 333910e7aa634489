import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { connectTls } from './connect-tls.ts';
import { explainProxyFailure } from './explain-proxy-failure.ts';
import { ProxyError } from './open-tunnel.ts';
import { type ProxySettings, proxyTo } from './proxy-settings.ts';
import type { ServiceUrl } from './service-url.ts';

/** How a connection that did not come about was meant to be. */
export interface Attempt {
  readonly service: ServiceUrl;
  readonly proxies: ProxySettings;
  /** CA that was believed, PEM; undefined: the system's, or none was asked for. */
  readonly caPem?: string;
}

/** Words why no connection to the service came about. Codes are those of Node and OpenSSL. */
export function explainConnectFailure(attempt: Attempt, cause: unknown): CommandError {
  if (cause instanceof ProxyError) return explainProxyFailure(cause);
  const { service } = attempt;
  const code = codeOf(cause);
  const at = service.origin;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return untrusted(
      `The certificate of ${at} is for another name or address`,
      'Use the service URL that the certificate names, or set public_url at the service',
      cause,
    );
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    const when = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
    const remedy = 'Check the clock of this machine; if it is right, the service needs a new one';
    return untrusted(`The certificate of ${at} ${when}`, remedy, cause);
  }
  if (isUnknownIssuer(code)) {
    const intercepted = explainInterception(attempt, cause);
    if (intercepted !== undefined) return intercepted;
    return untrusted(
      `The certificate of ${at} is not signed by a CA that this machine believes`,
      "Name the service's CA with --ca FILE or --ca-sha256 PIN",
      cause,
    );
  }
  if (/^(EPROTO|ERR_SSL|ERR_TLS|ECONNRESET)/.test(code)) {
    return unreachable(
      `What answers at ${at} does not speak TLS as the service does`,
      'Check host and port of --service-url',
      cause,
    );
  }
  const said: Readonly<Record<string, string>> = {
    ECONNREFUSED: `Nothing listens at ${at}`,
    ENOTFOUND: `The host name ${service.host} is not known`,
    EAI_AGAIN: `The host name ${service.host} cannot be looked up at the moment`,
    ETIMEDOUT: `${at} does not answer`,
    EHOSTUNREACH: `${at} is not reachable from this network`,
    ENETUNREACH: `${at} is not reachable from this network`,
  };
  return unreachable(
    said[code] ?? `${at} cannot be reached${code === '' ? '' : ` (${code})`}`,
    'Check --service-url, that the service runs, and that no firewall is in between',
    cause,
  );
}

/**
 * Finds out why calls to the service fail, by connecting as they do. Undefined where the connection itself is sound.
 */
export async function diagnoseConnection(attempt: Attempt): Promise<CommandError | undefined> {
  const { service, proxies, caPem } = attempt;
  try {
    (await connectTls(service, proxies, { caPem })).destroy();
    return undefined;
  } catch (error) {
    return explainConnectFailure(attempt, error);
  }
}

/** Behind a proxy, a certificate of somebody else than the service's own CA is the work of the proxy. */
function explainInterception(
  { service, proxies, caPem }: Attempt,
  cause: unknown,
): CommandError | undefined {
  const proxy = proxyTo(proxies, service);
  if (proxy === undefined) return undefined;
  const through = `The certificate of ${service.origin} that comes through the proxy ${proxy.origin}`;
  const exempt = `Let the proxy's operator exempt ${service.host} from inspection`;
  return caPem === undefined
    ? untrusted(
        `${through} is not signed by a CA that this machine believes: the proxy intercepts TLS, or the service has a CA of its own`,
        `Name the service's CA with --ca FILE or --ca-sha256 PIN. ${exempt}`,
        cause,
      )
    : untrusted(
        `${through} is not of the service's CA: the proxy intercepts TLS`,
        `${exempt}; until then nothing is sent`,
        cause,
      );
}

function isUnknownIssuer(code: string): boolean {
  return /CERT|VERIFY|ISSUER|SELF_SIGNED|CHAIN/.test(code);
}

function codeOf(cause: unknown): string {
  if (typeof cause !== 'object' || cause === null) return '';
  if ('code' in cause && typeof cause.code === 'string') return cause.code;
  return cause instanceof AggregateError ? codeOf(cause.errors[0]) : '';
}

function untrusted(message: string, remedy: string, cause: unknown): CommandError {
  return new CommandError(ExitCode.untrusted, message, remedy, { cause });
}

function unreachable(message: string, remedy: string, cause: unknown): CommandError {
  return new CommandError(ExitCode.unreachable, message, remedy, { cause });
}

import { connect } from 'node:tls';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { serverNameOf, type ServiceUrl } from './service-url.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** Words why no connection to the service came about. Codes are those of Node and OpenSSL. */
export function explainConnectFailure(service: ServiceUrl, cause: unknown): CommandError {
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
  if (/CERT|VERIFY|ISSUER|SELF_SIGNED|CHAIN/.test(code)) {
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
 *
 * @param caPem the CA that is believed; undefined: the system's
 */
export async function diagnoseConnection(
  service: ServiceUrl,
  caPem: string | undefined,
): Promise<CommandError | undefined> {
  return new Promise((resolve) => {
    const socket = connect({
      host: service.host,
      port: service.port,
      servername: serverNameOf(service),
      ca: caPem,
      ALPNProtocols: ['h2'],
    });
    const finish = (answer: CommandError | undefined): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () =>
      finish(explainConnectFailure(service, { code: 'ETIMEDOUT' })),
    );
    socket.once('error', (error) => finish(explainConnectFailure(service, error)));
    socket.once('secureConnect', () => finish(undefined));
  });
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

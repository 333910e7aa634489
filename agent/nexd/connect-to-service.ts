import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import {
  openServiceConnection,
  type ServiceConnection,
} from '../service-access/service-connection.ts';
import { resolveTrust } from '../service-access/service-trust.ts';
import { parseServiceUrl } from '../service-access/service-url.ts';
import type { Enrolment } from '../state/agent-state.ts';
import type { UpOptions } from './up-options.ts';

/**
 * Opens the connection to the service that the device joined, or that it is told to join.
 *
 * @throws {CommandError} `usage` where no service is named; `conflict` where the device joined another one; whatever
 * speaks against the service's certificate
 */
export async function connectToService(
  options: Pick<UpOptions, 'serviceUrl' | 'trust' | 'proxies'>,
  enrolment: Enrolment | undefined,
): Promise<ServiceConnection> {
  const text = options.serviceUrl ?? enrolment?.serviceUrl;
  if (text === undefined) {
    throw new CommandError(
      ExitCode.usage,
      'This device has not joined any service yet',
      'Name one with --service-url',
    );
  }
  const url = parseServiceUrl(text);
  if (enrolment !== undefined && enrolment.serviceUrl !== url.origin) {
    throw new CommandError(
      ExitCode.conflict,
      `This device has joined ${enrolment.serviceUrl}, not ${url.origin}`,
      'Leave that one with `nexd down --forget`, or name another --interface and --state-dir',
    );
  }
  const trust = { ...options.trust, storedCa: enrolment?.caPem };
  const { proxies } = options;
  return openServiceConnection(url, await resolveTrust(url, trust, proxies), proxies);
}

import { credentialsPath, openNamedService, type ServiceFlags } from './api-session.ts';
import { readCredentialsFile } from './credentials-file.ts';
import { loginStorePath, readLogins } from './login-store.ts';
import { parseServiceUrl } from '../service-access/service-url.ts';

/** The service that commands with these options go to, and the CA that they believe. @throws {CommandError} */
export async function serviceOf(
  flags: ServiceFlags,
): Promise<{ serviceUrl: string; caPem: string | undefined }> {
  const connection = await openNamedService(flags, await rememberedService(flags));
  connection.close();
  return { serviceUrl: connection.url.origin, caPem: connection.caPem };
}

async function rememberedService(
  flags: ServiceFlags,
): Promise<{ serviceUrl?: string; caPem?: string }> {
  const path = credentialsPath(flags);
  if (path !== undefined) return readCredentialsFile(path);
  const { current, services } = await readLogins(loginStorePath(process.env));
  const wanted = flags.serviceUrl ?? process.env.NEXCTL_SERVICE_URL ?? current;
  const known = wanted === undefined ? undefined : services[parseServiceUrl(wanted).origin];
  return { serviceUrl: wanted, caPem: known?.caPem };
}

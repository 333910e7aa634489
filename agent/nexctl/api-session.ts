import {
  DeviceServiceDefinition,
  OrganizationServiceDefinition,
  RegistrationKeyServiceDefinition,
  ServiceAccountServiceDefinition,
  UserServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { systemClock } from '@nexodus/clock';
import { createRpcClient, RpcError, Status } from '@nexodus/rpc';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { createAccessTokens } from '../service-access/access-tokens.ts';
import {
  checkService,
  explained,
  openServiceConnection,
  type ServiceConnection,
} from '../service-access/service-connection.ts';
import { type ProxySettings, readProxySettings } from '../service-access/proxy-settings.ts';
import { resolveTrust } from '../service-access/service-trust.ts';
import { parseServiceUrl } from '../service-access/service-url.ts';
import { readCredentialsFile, type ServiceAccountCredentials } from './credentials-file.ts';
import { changeLogins, type Login, loginStorePath, readLogins } from './login-store.ts';

/** Options that every command about the service takes. */
export interface ServiceFlags {
  readonly serviceUrl?: string;
  readonly ca?: string;
  readonly caSha256?: string;
  readonly credentials?: string;
  readonly proxy?: string;
}

type Authorize = (path: string) => Promise<Readonly<Record<string, string>>>;

/** Clients of the service's API, with the caller's credentials. */
export type ApiClients = ReturnType<typeof createClients>;

/** An id token is refreshed this long before its end. */
const REFRESH_BEFORE_MS = 60_000;

/**
 * Runs calls with the caller's credentials: those of a credentials file where one is named, else of the login.
 *
 * @throws {CommandError} {RpcError}
 */
export async function withApi<T>(
  flags: ServiceFlags,
  calls: (api: ApiClients) => Promise<T>,
): Promise<T> {
  const { connection, authorize } = await openSession(flags);
  try {
    return await explained(connection, () => calls(createClients(connection, authorize)));
  } catch (error) {
    throw await betterExplained(error, connection);
  } finally {
    connection.close();
  }
}

/** Credentials file that is named by option or environment. */
export function credentialsPath({ credentials }: ServiceFlags): string | undefined {
  const path = credentials ?? process.env.NEXCTL_CREDENTIALS;
  return path === '' ? undefined : path;
}

/** What goes through a proxy, by option and environment. @throws {CommandError} `usage` */
export function proxiesOf({ proxy }: ServiceFlags): ProxySettings {
  return readProxySettings(proxy, process.env);
}

/** Opens the way to the service that is meant, before any credential is used. */
export async function openNamedService(
  flags: ServiceFlags,
  fallback: { readonly serviceUrl?: string; readonly caPem?: string },
): Promise<ServiceConnection> {
  const text = flags.serviceUrl ?? process.env.NEXCTL_SERVICE_URL ?? fallback.serviceUrl;
  if (text === undefined || text === '') {
    throw new CommandError(
      ExitCode.usage,
      'No service is named',
      'Log in with `nexctl login --service-url URL`, or name one with --service-url or NEXCTL_SERVICE_URL',
    );
  }
  const url = parseServiceUrl(text);
  const trust = { caFile: flags.ca, caSha256: flags.caSha256, storedCa: fallback.caPem };
  const proxies = proxiesOf(flags);
  return openServiceConnection(url, await resolveTrust(url, trust, proxies), proxies);
}

async function openSession(
  flags: ServiceFlags,
): Promise<{ connection: ServiceConnection; authorize: Authorize }> {
  const path = credentialsPath(flags);
  return path === undefined ? openLoginSession(flags) : openAccountSession(flags, path);
}

async function openAccountSession(flags: ServiceFlags, path: string) {
  const account: ServiceAccountCredentials = await readCredentialsFile(path);
  const connection = await openNamedService(flags, account);
  const tokens = createAccessTokens({
    subject: account.serviceAccountId,
    key: account.key,
    connection,
    clock: systemClock,
  });
  return { connection, authorize: (method: string) => tokens.authorize(method) };
}

async function openLoginSession(flags: ServiceFlags) {
  const logins = await readLogins(loginStorePath(process.env));
  const wanted = flags.serviceUrl ?? process.env.NEXCTL_SERVICE_URL ?? logins.current;
  const origin = wanted === undefined ? undefined : parseServiceUrl(wanted).origin;
  const login = origin === undefined ? undefined : logins.services[origin];
  if (origin === undefined || login === undefined) {
    throw new CommandError(
      ExitCode.credentials,
      origin === undefined ? 'You are not logged in' : `You are not logged in at ${origin}`,
      'Log in with `nexctl login --service-url URL`, or name a credentials file with --credentials',
    );
  }
  const connection = await openNamedService(flags, { serviceUrl: origin, caPem: login.caPem });
  return {
    connection,
    authorize: async () => ({
      authorization: `Bearer ${await freshIdToken(origin, connection.proxies)}`,
    }),
  };
}

/** The id token of a login, refreshed where it is about to end. */
async function freshIdToken(origin: string, proxies: ProxySettings): Promise<string> {
  const path = loginStorePath(process.env);
  const found = (await readLogins(path)).services[origin];
  if (found !== undefined && isFresh(found)) return found.idToken;
  const logins = await changeLogins(path, systemClock, async (current) => {
    const login = current.services[origin];
    // Another command may have been first.
    if (login !== undefined && isFresh(login)) return current;
    if (login?.refreshToken === undefined) throw loginEnded(origin);
    const { refreshUserTokens } = await import('../service-access/device-login.ts');
    const { issuer, caPem, refreshToken } = login;
    const tokens = await refreshUserTokens({ issuer, caPem, proxies }, refreshToken);
    return { ...current, services: { ...current.services, [origin]: { ...login, ...tokens } } };
  });
  const login = logins.services[origin];
  if (login === undefined) throw loginEnded(origin);
  return login.idToken;
}

function isFresh({ expireAtMs }: Login): boolean {
  return systemClock.now() < expireAtMs - REFRESH_BEFORE_MS;
}

function loginEnded(origin: string): CommandError {
  return new CommandError(
    ExitCode.credentials,
    `Your login at ${origin} has ended`,
    'Log in again with `nexctl login`',
  );
}

function createClients({ channel }: ServiceConnection, authorize: Authorize) {
  const options = { authorize };
  return {
    users: createRpcClient(UserServiceDefinition, channel, options),
    organizations: createRpcClient(OrganizationServiceDefinition, channel, options),
    vpcs: createRpcClient(VpcServiceDefinition, channel, options),
    devices: createRpcClient(DeviceServiceDefinition, channel, options),
    registrationKeys: createRpcClient(RegistrationKeyServiceDefinition, channel, options),
    serviceAccounts: createRpcClient(ServiceAccountServiceDefinition, channel, options),
  };
}

/** Refused credentials are often a wrong URL or a wrong clock, which only a second look at the service can tell. */
async function betterExplained(error: unknown, connection: ServiceConnection): Promise<unknown> {
  if (!(error instanceof RpcError) || error.code !== Status.UNAUTHENTICATED) return error;
  return checkService(connection, () => systemClock.now()).then(
    () => error,
    (better: unknown) => better,
  );
}

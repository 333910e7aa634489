import { WhoAmIResponse } from '@nexodus/contracts/api';
import { systemClock } from '@nexodus/clock';
import type { Command } from 'commander';
import { explainFailure } from '../../command/explain-failure.ts';
import { checkService } from '../../service-access/service-connection.ts';
import type { ProxySettings } from '../../service-access/proxy-settings.ts';
import { parseServiceUrl } from '../../service-access/service-url.ts';
import { openNamedService, proxiesOf, withApi } from '../api-session.ts';
import { flagsOf } from '../command-flags.ts';
import { changeLogins, type Login, loginStorePath, readLogins } from '../login-store.ts';
import { printData, printLine } from '../print-resource.ts';
import { roleText } from '../resource-views.ts';

const LOGIN_EXAMPLES = `
Examples:
  nexctl login --service-url https://nexodus.example:7443 --ca-sha256 PIN
  nexctl login                           again at the same service`;

/** login, logout, whoami. */
export function addLoginCommands(program: Command): void {
  program
    .command('login')
    .description('Log in at a service with a browser, on this machine or any other.')
    .option('--issuer <url>', 'issuer to log in at, where the service has several')
    .addHelpText('after', LOGIN_EXAMPLES)
    .action((_flags: object, command: Command) => logIn(command));
  program
    .command('logout')
    .description('Forget the login at a service, and end it at the issuer.')
    .action((_flags: object, command: Command) => logOut(command));
  program
    .command('whoami')
    .description('Show who the service takes you for, and your roles.')
    .action((_flags: object, command: Command) => whoAmI(command));
}

async function logIn(command: Command): Promise<void> {
  // Loaded for a login only: its libraries take longer to load than the rest of the program.
  const { chooseIssuer, logInByDevice } = await import('../../service-access/device-login.ts');
  const flags = flagsOf<{ issuer?: string }>(command);
  const path = loginStorePath(process.env);
  const logins = await readLogins(path);
  const wanted = flags.serviceUrl ?? process.env.NEXCTL_SERVICE_URL ?? logins.current;
  const known = wanted === undefined ? undefined : logins.services[parseServiceUrl(wanted).origin];
  const connection = await openNamedService(flags, { serviceUrl: wanted, caPem: known?.caPem });
  try {
    const info = await checkService(connection, () => systemClock.now());
    const { url, clientId, scopes } = chooseIssuer(info.issuers, flags.issuer);
    const issuer = { url, clientId, scopes };
    const { caPem, proxies } = connection;
    const tokens = await logInByDevice({ issuer, caPem, proxies }, (prompt) => {
      printLine(`Open ${prompt.verificationUrl} and enter the code ${prompt.userCode}`);
      if (prompt.completeUrl !== undefined) printLine(`or open ${prompt.completeUrl}`);
    });
    const { origin } = connection.url;
    await changeLogins(path, systemClock, ({ services }) => ({
      current: origin,
      services: { ...services, [origin]: { caPem, issuer, ...tokens } },
    }));
    printLine(`Logged in at ${origin}.`);
  } finally {
    connection.close();
  }
}

async function logOut(command: Command): Promise<void> {
  const flags = flagsOf(command);
  const path = loginStorePath(process.env);
  const proxies = proxiesOf(flags);
  const forgotten: { origin: string; login: Login }[] = [];
  await changeLogins(path, systemClock, (logins) => {
    const wanted = flags.serviceUrl ?? process.env.NEXCTL_SERVICE_URL ?? logins.current;
    const origin = wanted === undefined ? '' : parseServiceUrl(wanted).origin;
    const { [origin]: login, ...services } = logins.services;
    if (login === undefined) return logins;
    forgotten.push({ origin, login });
    return { current: logins.current === origin ? undefined : logins.current, services };
  });
  const [done] = forgotten;
  if (done === undefined) {
    printLine('You were not logged in.');
    return;
  }
  await endAtIssuer(done.login, proxies);
  printLine(`Logged out at ${done.origin}.`);
}

/** Who copied the file of logins must not be able to prolong one that its owner ended. */
async function endAtIssuer(
  { issuer, caPem, refreshToken }: Login,
  proxies: ProxySettings,
): Promise<void> {
  if (refreshToken === undefined) return;
  const { revokeUserTokens } = await import('../../service-access/device-login.ts');
  try {
    await revokeUserTokens({ issuer, caPem, proxies }, refreshToken);
  } catch (error) {
    const { message } = explainFailure(error);
    process.stderr.write(
      `nexctl: The refresh token is forgotten here, and the issuer did not hear of it. ${message}.\n`,
    );
  }
}

async function whoAmI(command: Command): Promise<void> {
  const flags = flagsOf(command);
  const answer = await withApi(flags, ({ users }) => users.whoAmI({}));
  if (flags.output !== 'table') {
    printData(WhoAmIResponse.toJSON(answer), flags.output);
    return;
  }
  printLine(principalText(answer));
  for (const { organizationName, role } of answer.memberships) {
    printLine(`  ${roleText(role)} of ${organizationName}`);
  }
}

function principalText({ principal }: WhoAmIResponse): string {
  switch (principal?.$case) {
    case 'user':
      return `user ${principal.value.email === '' ? principal.value.subject : principal.value.email} (${principal.value.id})`;
    case 'serviceAccountId':
      return `service account ${principal.value}`;
    case 'deviceId':
      return `device ${principal.value}`;
    default:
      return 'unknown';
  }
}

import { access, rename, rm } from 'node:fs/promises';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import type { Command } from 'commander';
import { CommandError } from '../../command/command-error.ts';
import { ExitCode } from '../../command/exit-code.ts';
import { credentialsPath, type ServiceFlags, withApi } from '../api-session.ts';
import { isCertainRefusal } from '../certain-refusal.ts';
import { flagsOf } from '../command-flags.ts';
import { readCredentialsFile, writeCredentialsFile } from '../credentials-file.ts';
import { printLine } from '../print-resource.ts';

const ROTATE_EXAMPLES = `
Example:
  nexctl --credentials .nexodus/bootstrap-credentials.json admin bootstrap rotate`;

/** admin bootstrap rotate, disable. */
export function addBootstrapCommands(program: Command): void {
  const bootstrap = program
    .command('admin')
    .description('Care for the service itself.')
    .command('bootstrap')
    .description('The service account that a standalone service makes at its first start.');
  bootstrap
    .command('rotate')
    .description('Give the account of the credentials file a new key, and rewrite the file.')
    .addHelpText('after', ROTATE_EXAMPLES)
    .action((_flags: object, command: Command) => rotate(command));
  bootstrap
    .command('disable')
    .description('Disable the account of the credentials file.')
    .action((_flags: object, command: Command) => disable(command));
}

/**
 * The new key is on disk before the service is told of it, and takes the place of the old one only afterwards: at no
 * moment is the key that the service believes nowhere but in memory.
 */
async function rotate(command: Command): Promise<void> {
  const flags = flagsOf(command);
  const path = namedFile(flags);
  const next = `${path}.new`;
  const credentials = await readCredentialsFile(path);
  await refuseUnsettled(path, next);
  const key = Ed25519PrivateKey.generate('service-account');
  await writeCredentialsFile(next, { ...credentials, key });
  let isAsked = false;
  try {
    await withApi(flags, async ({ users, serviceAccounts }) => {
      // A service that is out of reach, or takes the old key no more, is found out before anything is at stake.
      await users.whoAmI({});
      isAsked = true;
      await serviceAccounts.rotateServiceAccountKey({
        id: credentials.serviceAccountId,
        publicKey: Buffer.from(key.publicKey),
      });
    });
  } catch (error) {
    if (isAsked && !isCertainRefusal(error)) throw outcomeUnknown(path, next, error);
    await rm(next, { force: true });
    throw error;
  }
  await rename(next, path);
  printLine(`The key in ${path} is new; the one before opens nothing any more.`);
}

async function disable(command: Command): Promise<void> {
  const flags = flagsOf(command);
  const { serviceAccountId: id } = await readCredentialsFile(namedFile(flags));
  await withApi(flags, ({ serviceAccounts }) => serviceAccounts.disableServiceAccount({ id }));
  printLine('The bootstrap account is disabled.');
}

function namedFile(flags: ServiceFlags): string {
  const path = credentialsPath(flags);
  if (path !== undefined) return path;
  throw new CommandError(
    ExitCode.usage,
    'No credentials file is named',
    "Name the service's bootstrap-credentials.json with --credentials",
  );
}

/** An earlier rotation whose outcome is not known may have left the only key that the service takes. */
async function refuseUnsettled(path: string, next: string): Promise<void> {
  const isThere = await access(next).then(
    () => true,
    () => false,
  );
  if (!isThere) return;
  throw new CommandError(
    ExitCode.conflict,
    `${next} is left of an earlier rotation and may hold the key that is valid now`,
    settle(path, next),
  );
}

function outcomeUnknown(path: string, next: string, cause: unknown): CommandError {
  return new CommandError(
    ExitCode.unreachable,
    'It is not known whether the service took the new key',
    settle(path, next),
    { cause },
  );
}

function settle(path: string, next: string): string {
  return `Try \`nexctl --credentials ${next} whoami\`: if it works, move that file to ${path}, else remove it`;
}

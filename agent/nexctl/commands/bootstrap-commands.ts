import type { Command } from 'commander';
import { CommandError } from '../../command/command-error.ts';
import { ExitCode } from '../../command/exit-code.ts';
import { credentialsPath, type ServiceFlags, withApi } from '../api-session.ts';
import { flagsOf } from '../command-flags.ts';
import { readCredentialsFile } from '../credentials-file.ts';
import { printLine } from '../print-resource.ts';
import { rotateAccountKey } from '../rotate-account-key.ts';

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

async function rotate(command: Command): Promise<void> {
  const flags = flagsOf(command);
  const path = namedFile(flags);
  await rotateAccountKey(path, flags);
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

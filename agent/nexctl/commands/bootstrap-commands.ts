import { rename, rm } from 'node:fs/promises';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { RpcError, Status } from '@nexodus/rpc';
import type { Command } from 'commander';
import { CommandError } from '../../command/command-error.ts';
import { ExitCode } from '../../command/exit-code.ts';
import { credentialsPath, type ServiceFlags, withApi } from '../api-session.ts';
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
  const key = Ed25519PrivateKey.generate('service-account');
  await writeCredentialsFile(next, { ...credentials, key });
  try {
    await withApi(flags, ({ serviceAccounts }) =>
      serviceAccounts.rotateServiceAccountKey({
        id: credentials.serviceAccountId,
        publicKey: Buffer.from(key.publicKey),
      }),
    );
  } catch (error) {
    if (isOutcomeUnknown(error)) throw outcomeUnknown(path, next, error);
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

/** Whether the service may have taken the new key although no answer came. */
function isOutcomeUnknown(error: unknown): boolean {
  if (error instanceof CommandError) return isOutcomeUnknown(error.cause);
  const unsure: readonly Status[] = [Status.DEADLINE_EXCEEDED, Status.CANCELLED, Status.INTERNAL];
  return error instanceof RpcError && unsure.includes(error.code);
}

function outcomeUnknown(path: string, next: string, cause: unknown): CommandError {
  return new CommandError(
    ExitCode.unreachable,
    'It is not known whether the service took the new key',
    `Try \`nexctl --credentials ${next} whoami\`: if it works, move that file to ${path}, else remove it`,
    { cause },
  );
}

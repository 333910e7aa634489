import { randomUUID } from 'node:crypto';
import { Role } from '@nexodus/contracts/api';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { type Command, Option } from 'commander';
import { CommandError } from '../../command/command-error.ts';
import { ExitCode } from '../../command/exit-code.ts';
import { withApi } from '../api-session.ts';
import { writeCredentialsFile } from '../credentials-file.ts';
import { flagsOf } from '../command-flags.ts';
import { findServiceAccount, listServiceAccounts, organizationIdOf } from '../find-resource.ts';
import { printLine, printList, printOne } from '../print-resource.ts';
import { required } from '../required-answer.ts';
import { serviceAccountView } from '../resource-views.ts';
import { serviceOf } from '../service-of.ts';

const CREATE_EXAMPLES = `
Examples:
  nexctl service-account create ci --role member --file ci-credentials.json
  nexctl --credentials ci-credentials.json device list`;

const roles: Readonly<Record<string, Role>> = {
  admin: Role.ADMIN,
  member: Role.MEMBER,
  auditor: Role.AUDITOR,
};

interface CreateFlags {
  organization?: string;
  role: string;
  file: string;
}

/** service-account list, create, disable, delete. */
export function addServiceAccountCommands(program: Command): void {
  const account = program
    .command('service-account')
    .description('Accounts of scripts and services.');
  account
    .command('list')
    .description('List accounts.')
    .option('--organization <name>', 'only of this organization (name or id)')
    .action((_flags: object, command: Command) => list(command));
  account
    .command('create')
    .description(
      'Create an account. Its key is made here and written to a file; the service never sees it.',
    )
    .argument('<name>', 'name, unique in the organization')
    .option('--organization <name>', 'organization (name or id); default: your only one')
    .addOption(
      new Option('--role <role>', 'role of the account')
        .choices(Object.keys(roles))
        .default('member'),
    )
    .requiredOption('--file <file>', 'credentials file to write, mode 0600')
    .addHelpText('after', CREATE_EXAMPLES)
    .action((name: string, _flags: object, command: Command) => create(name, command));
  account
    .command('disable')
    .description('Disable an account: its tokens end at once.')
    .argument('<account>', 'name or id')
    .action((wanted: string, _flags: object, command: Command) => disable(wanted, command));
  account
    .command('delete')
    .description('Delete an account.')
    .argument('<account>', 'name or id')
    .action((wanted: string, _flags: object, command: Command) => remove(wanted, command));
}

async function list(command: Command): Promise<void> {
  const flags = flagsOf<{ organization?: string }>(command);
  const accounts = await withApi(flags, async (api) =>
    listServiceAccounts(api, await organizationIdOf(api, flags.organization)),
  );
  printList(accounts, serviceAccountView, flags.output);
}

async function create(name: string, command: Command): Promise<void> {
  const flags = flagsOf<CreateFlags>(command);
  const role = roles[flags.role];
  if (role === undefined) {
    throw new CommandError(ExitCode.usage, `There is no role ${flags.role}`, 'See --help');
  }
  const key = Ed25519PrivateKey.generate('service-account');
  const service = await serviceOf(flags);
  const account = await withApi(flags, async (api) => {
    const { serviceAccount } = await api.serviceAccounts.createServiceAccount({
      organizationId: await organizationIdOf(api, flags.organization),
      name,
      role,
      publicKey: Buffer.from(key.publicKey),
      requestId: randomUUID(),
    });
    return required(serviceAccount);
  });
  await writeCredentialsFile(flags.file, { ...service, serviceAccountId: account.id, key });
  printOne(account, serviceAccountView, flags.output);
}

async function disable(wanted: string, command: Command): Promise<void> {
  const flags = flagsOf(command);
  const account = await withApi(flags, async (api) => {
    const { id } = await findServiceAccount(api, wanted);
    return required((await api.serviceAccounts.disableServiceAccount({ id })).serviceAccount);
  });
  printOne(account, serviceAccountView, flags.output);
}

async function remove(wanted: string, command: Command): Promise<void> {
  const flags = flagsOf(command);
  const account = await withApi(flags, async (api) => {
    const found = await findServiceAccount(api, wanted);
    await api.serviceAccounts.deleteServiceAccount({ id: found.id });
    return found;
  });
  if (flags.output === 'table') printLine(`Deleted service account ${account.name}.`);
}

import { randomUUID } from 'node:crypto';
import type { RegistrationKey } from '@nexodus/contracts/api';
import type { Command } from 'commander';
import { CommandError } from '../../command/command-error.ts';
import { ExitCode } from '../../command/exit-code.ts';
import { type ApiClients, withApi } from '../api-session.ts';
import { collectValues, flagsOf, parseCount, parseDuration } from '../command-flags.ts';
import { findVpc, listAll, organizationIdOf } from '../find-resource.ts';
import { printData, printLine, printList } from '../print-resource.ts';
import { required } from '../required-answer.ts';
import { registrationKeyView } from '../resource-views.ts';

const CREATE_EXAMPLES = `
Examples:
  nexctl reg-key create                          one machine, within 90 days
  nexctl reg-key create --max-uses 20 --ttl 1h   twenty machines, within the hour
  nexctl reg-key create -o json | jq -r .secret | ssh host 'nexd up --service-url URL --reg-key-file -'`;

interface CreateFlags {
  vpc?: string;
  description?: string;
  maxUses?: number;
  ttl?: number;
  ephemeral: boolean;
  tag: string[];
}

/** reg-key create, list, delete. */
export function addRegistrationKeyCommands(program: Command): void {
  const key = program.command('reg-key').description('Keys by which machines join.');
  key
    .command('create')
    .description('Create a key. It is shown once, now.')
    .option('--vpc <name>', 'VPC that machines join (name or id); default: the default one')
    .option('--description <text>', 'what it is for')
    .option(
      '--max-uses <n>',
      'machines that may join with it; 0: any number; default: 1',
      parseCount,
    )
    .option('--ttl <duration>', 'life, such as 1h or 7d; default: 90d', parseDuration)
    .option('--ephemeral', 'its devices are removed after 30 minutes offline', false)
    .option('--tag <tag>', 'tag of its devices; repeatable', collectValues, [])
    .addHelpText('after', CREATE_EXAMPLES)
    .action((_flags: object, command: Command) => create(command));
  key
    .command('list')
    .description('List keys, without their secrets.')
    .option('--organization <name>', 'only of this organization (name or id)')
    .action((_flags: object, command: Command) => list(command));
  key
    .command('delete')
    .description('Delete a key: nothing joins with it any more. Its devices stay.')
    .argument('<key>', 'id, or the prefix shown by list')
    .action((wanted: string, _flags: object, command: Command) => remove(wanted, command));
}

async function create(command: Command): Promise<void> {
  const flags = flagsOf<CreateFlags>(command);
  const answer = await withApi(flags, async (api) =>
    api.registrationKeys.createRegistrationKey({
      vpcId: flags.vpc === undefined ? '' : (await findVpc(api, flags.vpc)).id,
      description: flags.description,
      maxUses: flags.maxUses,
      ttl: flags.ttl === undefined ? undefined : { seconds: BigInt(flags.ttl), nanos: 0 },
      ephemeral: flags.ephemeral,
      tags: flags.tag,
      requestId: randomUUID(),
    }),
  );
  const key = required(answer.registrationKey);
  if (flags.output === 'table') {
    printList([key], registrationKeyView, 'table');
    printLine(`\nThe key, shown this once: ${answer.secret}`);
    return;
  }
  const registrationKey = registrationKeyView.toJson(key);
  printData({ registrationKey, secret: answer.secret }, flags.output);
}

async function list(command: Command): Promise<void> {
  const flags = flagsOf<{ organization?: string }>(command);
  const keys = await withApi(flags, async (api) =>
    listKeys(api, await organizationIdOf(api, flags.organization)),
  );
  printList(keys, registrationKeyView, flags.output);
}

async function remove(wanted: string, command: Command): Promise<void> {
  const flags = flagsOf(command);
  const key = await withApi(flags, async (api) => {
    const keys = await listKeys(api, '');
    const found = keys.find(({ id, prefix }) => id === wanted || prefix === wanted);
    if (found === undefined) throw noSuchKey();
    await api.registrationKeys.deleteRegistrationKey({ id: found.id });
    return found;
  });
  if (flags.output === 'table') printLine(`Deleted registration key ${key.prefix}.`);
}

function listKeys(api: ApiClients, organizationId: string): Promise<RegistrationKey[]> {
  return listAll(async (page) => {
    const request = { ...page, organizationId };
    const answer = await api.registrationKeys.listRegistrationKeys(request);
    return { items: answer.registrationKeys, nextPageToken: answer.nextPageToken };
  });
}

/** Without what was given: somebody may have pasted the key itself. */
function noSuchKey(): CommandError {
  return new CommandError(
    ExitCode.notFound,
    'There is no such registration key that you may see',
    '`nexctl reg-key list` shows ids and prefixes',
  );
}

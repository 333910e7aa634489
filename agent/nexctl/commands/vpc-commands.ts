import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { withApi } from '../api-session.ts';
import { flagsOf } from '../command-flags.ts';
import { findVpc, listOrganizations, listVpcs, organizationIdOf } from '../find-resource.ts';
import { printLine, printList, printOne } from '../print-resource.ts';
import { required } from '../required-answer.ts';
import { organizationView, vpcView } from '../resource-views.ts';

const CREATE_EXAMPLES = `
Examples:
  nexctl vpc create lab
  nexctl vpc create office --ipv4-prefix 10.40.0.0/16 --description "machines of the office"`;

interface VpcFlags {
  organization?: string;
  description?: string;
  ipv4Prefix?: string;
  ipv6Prefix?: string;
}

/** organization list; vpc list, create, delete. */
export function addVpcCommands(program: Command): void {
  program
    .command('organization')
    .description('Organizations that you belong to.')
    .command('list')
    .description('List them.')
    .action((_flags: object, command: Command) => listMyOrganizations(command));
  const vpc = program.command('vpc').description('Virtual private clouds.');
  vpc
    .command('list')
    .description('List VPCs.')
    .option('--organization <name>', 'only of this organization (name or id)')
    .action((_flags: object, command: Command) => list(command));
  vpc
    .command('create')
    .description('Create a VPC.')
    .argument('<name>', 'DNS label, unique in the organization')
    .option('--organization <name>', 'organization (name or id); default: your only one')
    .option('--description <text>', 'what it is for')
    .option('--ipv4-prefix <prefix>', 'default: 100.64.0.0/10')
    .option('--ipv6-prefix <prefix>', "default: a /64 of the organization's")
    .addHelpText('after', CREATE_EXAMPLES)
    .action((name: string, _flags: object, command: Command) => create(name, command));
  vpc
    .command('delete')
    .description('Delete a VPC without devices.')
    .argument('<vpc>', 'name or id')
    .option('--organization <name>', 'organization (name or id) to look in')
    .action((wanted: string, _flags: object, command: Command) => remove(wanted, command));
}

async function listMyOrganizations(command: Command): Promise<void> {
  const flags = flagsOf(command);
  printList(await withApi(flags, listOrganizations), organizationView, flags.output);
}

async function list(command: Command): Promise<void> {
  const flags = flagsOf<VpcFlags>(command);
  const vpcs = await withApi(flags, async (api) =>
    listVpcs(api, await organizationIdOf(api, flags.organization)),
  );
  printList(vpcs, vpcView, flags.output);
}

async function create(name: string, command: Command): Promise<void> {
  const flags = flagsOf<VpcFlags>(command);
  const { vpc } = await withApi(flags, async (api) =>
    api.vpcs.createVpc({
      organizationId: await organizationIdOf(api, flags.organization),
      name,
      description: flags.description,
      ipv4Prefix: flags.ipv4Prefix,
      ipv6Prefix: flags.ipv6Prefix,
      requestId: randomUUID(),
    }),
  );
  printOne(required(vpc), vpcView, flags.output);
}

async function remove(wanted: string, command: Command): Promise<void> {
  const flags = flagsOf<VpcFlags>(command);
  const vpc = await withApi(flags, async (api) => {
    const found = await findVpc(api, wanted, await organizationIdOf(api, flags.organization));
    await api.vpcs.deleteVpc({ id: found.id, etag: found.etag });
    return found;
  });
  if (flags.output === 'table') printLine(`Deleted VPC ${vpc.name}.`);
}

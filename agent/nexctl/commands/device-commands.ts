import type { Command } from 'commander';
import { withApi } from '../api-session.ts';
import { flagsOf } from '../command-flags.ts';
import { findDevice, findVpc, listDevices, organizationIdOf } from '../find-resource.ts';
import { printLine, printList, printOne } from '../print-resource.ts';
import { deviceView } from '../resource-views.ts';

interface DeviceFlags {
  organization?: string;
  vpc?: string;
}

/** device list, get, delete. */
export function addDeviceCommands(program: Command): void {
  const device = program.command('device').description('Machines that have joined.');
  device
    .command('list')
    .description('List devices.')
    .option('--organization <name>', 'only of this organization (name or id)')
    .option('--vpc <name>', 'only of this VPC (name or id)')
    .action((_flags: object, command: Command) => list(command));
  device
    .command('get')
    .description('Show a device.')
    .argument('<device>', 'hostname or id')
    .option('--vpc <name>', 'VPC (name or id) to look in')
    .action((wanted: string, _flags: object, command: Command) => get(wanted, command));
  device
    .command('delete')
    .description('Delete a device: its peers drop it at once, and its keys never join again.')
    .argument('<device>', 'hostname or id')
    .option('--vpc <name>', 'VPC (name or id) to look in')
    .action((wanted: string, _flags: object, command: Command) => remove(wanted, command));
}

async function list(command: Command): Promise<void> {
  const flags = flagsOf<DeviceFlags>(command);
  const devices = await withApi(flags, async (api) => {
    const organizationId = await organizationIdOf(api, flags.organization);
    const vpcId = flags.vpc === undefined ? '' : (await findVpc(api, flags.vpc, organizationId)).id;
    return listDevices(api, { organizationId, vpcId });
  });
  printList(devices, deviceView, flags.output);
}

async function get(wanted: string, command: Command): Promise<void> {
  const flags = flagsOf<DeviceFlags>(command);
  const device = await withApi(flags, async (api) => {
    const vpcId = flags.vpc === undefined ? '' : (await findVpc(api, flags.vpc)).id;
    return findDevice(api, wanted, vpcId);
  });
  printOne(device, deviceView, flags.output);
}

async function remove(wanted: string, command: Command): Promise<void> {
  const flags = flagsOf<DeviceFlags>(command);
  const device = await withApi(flags, async (api) => {
    const vpcId = flags.vpc === undefined ? '' : (await findVpc(api, flags.vpc)).id;
    const found = await findDevice(api, wanted, vpcId);
    // Without the etag: whether the device was online or moved meanwhile does not matter to who deletes it.
    await api.devices.deleteDevice({ id: found.id, etag: '' });
    return found;
  });
  if (flags.output === 'table') printLine(`Deleted device ${device.hostname}.`);
}

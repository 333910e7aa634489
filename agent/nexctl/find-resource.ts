import type { Device, Organization, ServiceAccount, Vpc } from '@nexodus/contracts/api';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import type { ApiClients } from './api-session.ts';

/** Size of the pages that lists are read in: the largest that the API gives. */
const PAGE_SIZE = 1_000;

/** Page of a list. */
interface Page<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string;
}

/** What the API is asked for one page. */
export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** Reads a list to its end. */
export async function listAll<T>(read: (page: PageRequest) => Promise<Page<T>>): Promise<T[]> {
  const all: T[] = [];
  let pageToken = '';
  do {
    const page = await read({ pageSize: PAGE_SIZE, pageToken });
    all.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return all;
}

/** All organizations of the caller. */
export function listOrganizations(api: ApiClients): Promise<Organization[]> {
  return listAll(async (page) => {
    const { organizations, nextPageToken } = await api.organizations.listOrganizations(page);
    return { items: organizations, nextPageToken };
  });
}

/** All VPCs, of one organization or of all. */
export function listVpcs(api: ApiClients, organizationId = ''): Promise<Vpc[]> {
  return listAll(async (page) => {
    const { vpcs, nextPageToken } = await api.vpcs.listVpcs({ ...page, organizationId });
    return { items: vpcs, nextPageToken };
  });
}

/** All devices, of one organization or VPC or of all. */
export function listDevices(
  api: ApiClients,
  { organizationId = '', vpcId = '' } = {},
): Promise<Device[]> {
  return listAll(async (page) => {
    const request = { ...page, organizationId, vpcId };
    const { devices, nextPageToken } = await api.devices.listDevices(request);
    return { items: devices, nextPageToken };
  });
}

/** All service accounts, of one organization or of all. */
export function listServiceAccounts(
  api: ApiClients,
  organizationId = '',
): Promise<ServiceAccount[]> {
  return listAll(async (page) => {
    const answer = await api.serviceAccounts.listServiceAccounts({ ...page, organizationId });
    return { items: answer.serviceAccounts, nextPageToken: answer.nextPageToken };
  });
}

/** The organization of a name or id. @throws {CommandError} `notFound` */
async function findOrganization(api: ApiClients, wanted: string): Promise<Organization> {
  const all = await listOrganizations(api);
  return pick(all, { kind: 'organization', wanted, nameOf: ({ name }) => name });
}

/** Id of the organization of a name or id; empty where none is named. */
export async function organizationIdOf(api: ApiClients, wanted = ''): Promise<string> {
  return wanted === '' ? '' : (await findOrganization(api, wanted)).id;
}

/** The VPC of a name or id. @throws {CommandError} `notFound`, or `usage` where several have the name */
export async function findVpc(api: ApiClients, wanted: string, organizationId = ''): Promise<Vpc> {
  const all = await listVpcs(api, organizationId);
  return pick(all, { kind: 'vpc', wanted, nameOf: ({ name }) => name });
}

/** The device of a hostname or id. @throws {CommandError} `notFound`, or `usage` where several have the name */
export async function findDevice(api: ApiClients, wanted: string, vpcId = ''): Promise<Device> {
  const all = await listDevices(api, { vpcId });
  return pick(all, { kind: 'device', wanted, nameOf: ({ hostname }) => hostname });
}

/** The service account of a name or id. @throws {CommandError} */
export async function findServiceAccount(api: ApiClients, wanted: string): Promise<ServiceAccount> {
  const all = await listServiceAccounts(api);
  return pick(all, { kind: 'service account', wanted, nameOf: ({ name }) => name });
}

function pick<T extends { id: string }>(
  all: readonly T[],
  { kind, wanted, nameOf }: { kind: string; wanted: string; nameOf: (item: T) => string },
): T {
  const byId = all.find(({ id }) => id === wanted.toLowerCase());
  const named = all.filter((item) => nameOf(item).toLowerCase() === wanted.toLowerCase());
  const found = byId ?? named[0];
  if (found !== undefined && (byId !== undefined || named.length === 1)) return found;
  const command = kind.replace(' ', '-');
  if (found === undefined) {
    throw new CommandError(
      ExitCode.notFound,
      `There is no ${kind} ${JSON.stringify(wanted)} that you may see`,
      `\`nexctl ${command} list\` shows them`,
    );
  }
  throw new CommandError(
    ExitCode.usage,
    `Several ${kind}s are called ${JSON.stringify(wanted)}`,
    `Name one by its id: \`nexctl ${command} list\` shows them`,
  );
}

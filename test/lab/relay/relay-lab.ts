import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Peer } from '@nexodus/contracts/nexd';
import {
  type AccessKind,
  createInternet,
  createVirtualNetwork,
  type Internet,
  ping,
  type Site,
  type SiteOptions,
} from '@nexodus/netsim';
import { z } from 'zod';
import { createLabMachine, type LabMachine } from '../lab-machine.ts';
import { createNexctl, type Nexctl } from '../nexctl.ts';
import { type PublicService, startPublicService } from '../nat/public-service.ts';

/** A small internet with a service and its relay, and machines behind accesses of any kind. */
export interface RelayLab extends AsyncDisposable {
  readonly internet: Internet;
  readonly service: PublicService;
  /** `nexctl` as an administrator. */
  readonly administrator: Nexctl;
  /** Where the relay is. */
  readonly relayIpv4: string;
  /** Joins a machine of a site of its own; `args` are further ones of `nexd up`. */
  join(
    name: string,
    access: AccessKind | SiteOptions,
    args?: readonly string[],
  ): Promise<JoinedMachine>;
}

/** A machine and where it is. */
export interface JoinedMachine {
  readonly machine: LabMachine;
  readonly site: Site;
}

/** Names of sites have at most seven characters, and all of a lab differ. */
export async function openRelayLab(): Promise<RelayLab> {
  await using undo = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-relay-'));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const network = undo.use(await createVirtualNetwork());
  const internet = await createInternet(network);
  const host = await internet.host('service', { addresses: 3 });
  const service = await startPublicService(host, join(folder, 'data'));
  const administrator = createNexctl(host, service.credentialsFile);
  const created = await administrator.json(['reg-key', 'create', '--max-uses', '50']);
  const keyFile = join(folder, 'reg-key');
  await writeFile(keyFile, z.object({ secret: z.string() }).parse(created).secret);
  const at = service.joinArguments.findIndex((argument) => argument.startsWith('--reg-key'));
  const joinArguments = service.joinArguments.toSpliced(at, 2, '--reg-key-file', keyFile);
  const stack = undo.move();
  return {
    internet,
    service,
    administrator,
    relayIpv4: host.links[2]?.ipv4 ?? '',
    join: async (name, access, args = []) => {
      const options = typeof access === 'string' ? { access } : access;
      const site = await internet.site(name, options);
      const machine = await createLabMachine(await site.host(`${name}-m`), join(folder, name));
      const proxy = site.proxy === undefined ? [] : ['--proxy', site.proxy.url];
      await machine.up([...joinArguments, ...proxy, ...args]);
      return { machine, site };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A machine's word about another. */
export async function pathTo(from: LabMachine, to: LabMachine): Promise<Peer | undefined> {
  return (await from.peers()).find(({ deviceId }) => deviceId === to.deviceId);
}

/** Sends pings; gives how many were answered. */
export async function answered(from: LabMachine, to: string, count: number): Promise<number> {
  return (await ping(from.host, to, { count, replyTimeoutMs: 1_000 })).received;
}

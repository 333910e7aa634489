import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVirtualNetwork, type VirtualHost, type VirtualNetwork } from '@nexodus/netsim';
import { z } from 'zod';
import { createLabMachine, type LabMachine } from './lab-machine.ts';
import type { LabService, LabServiceStarter } from './lab-service.ts';
import { createNexctl, type Nexctl } from './nexctl.ts';

/** What a lab is made of. */
export interface LabOptions {
  /** Machines that have joined and know each other when the lab is there; at least one, names of one letter or more. */
  readonly machines: readonly string[];
  readonly service: LabServiceStarter;
  /** Told each step, in a few words. */
  readonly report?: (step: string) => void;
  /** Ends the making and the lab itself at once: everything in it is killed, what waits for it fails. */
  readonly signal?: AbortSignal;
}

/**
 * Machines and a service on one virtual LAN with IPv4 and IPv6, each in a namespace of its own. The first machine joins
 * by the very line that the service shows to people, the others with one registration key.
 */
export interface Lab extends AsyncDisposable {
  readonly service: LabService;
  readonly serviceHost: VirtualHost;
  /** `nexctl` on the service's machine as the administrator of the organization. */
  readonly nexctl: Nexctl;
  /** Machines that have joined, by name. */
  readonly machines: readonly LabMachine[];
  /** A machine by name. */
  machine(name: string): LabMachine;
  /** Makes a machine without starting its daemon. */
  addMachine(name: string): Promise<LabMachine>;
  /** Arguments of `nexd` that join any number of machines, `up` first; to the default VPC or to one of that name. */
  joinArguments(vpc?: string): Promise<readonly string[]>;
  /** Makes a machine and lets it join; the others may not know it yet. */
  join(name: string): Promise<LabMachine>;
  /** Deletes a machine's device at the service, and returns once that answered; its daemon is left alone. */
  delete(machine: LabMachine): Promise<void>;
  /** Ends everything and removes every trace; safe to call again. */
  close(): Promise<void>;
}

const LAN = { ipv4: '10.83.0.0/24', ipv6: 'fd83:1ab::/64' };

/**
 * Makes a lab. Needs root.
 *
 * @throws Error of the step that failed, after everything was removed again.
 */
export async function createLab(options: LabOptions): Promise<Lab> {
  const { report = () => undefined, signal } = options;
  signal?.throwIfAborted();
  await using undo = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'nexodus-lab-'));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  report('building the network');
  const network = undo.use(await createVirtualNetwork());
  const abort = () => void network.close().catch(() => undefined);
  signal?.addEventListener('abort', abort);
  undo.defer(() => signal?.removeEventListener('abort', abort));
  const lan = await network.switch('lan', LAN);
  const serviceHost = await network.host('service', [{ switch: lan }]);
  report('starting the service');
  const service = await options.service({
    host: serviceHost,
    directory: join(directory, 'service'),
  });
  undo.defer(() => service.close());
  const parts = { directory, service, serviceHost };
  const addHost = (name: string) => network.host(name, [{ switch: lan }], ROUTER);
  const lab = new RunningLab({ ...parts, addHost, undo: undo.move() });
  try {
    await joinAll(lab, options.machines, report);
  } catch (cause) {
    await lab.close();
    const said = service.log().join('\n');
    throw new Error(`the machines cannot join; the service said last:\n${said}`, { cause });
  }
  return lab;
}

/** Machines forward between their interfaces, as subnet routers do: only their firewall keeps others out. */
const ROUTER = { forwarding: true };

async function joinAll(
  lab: Lab,
  [first, ...others]: readonly string[],
  report: (step: string) => void,
): Promise<void> {
  if (first === undefined) throw new RangeError('a lab has at least one machine');
  report(`joining ${first} by the line that the service printed`);
  await lab.join(first);
  if (others.length === 0) return;
  report(`joining ${others.join(', ')} with one registration key`);
  await Promise.all(others.map((name) => lab.join(name)));
  report('waiting until all know each other');
  const { machines } = lab;
  await Promise.all(
    machines.map((machine) => machine.knows(machines.filter((other) => other !== machine))),
  );
}

/** What a running lab is given. */
interface LabParts {
  readonly directory: string;
  readonly service: LabService;
  readonly serviceHost: VirtualHost;
  readonly addHost: (name: string) => ReturnType<VirtualNetwork['host']>;
  readonly undo: AsyncDisposableStack;
}

class RunningLab implements Lab {
  readonly service: LabService;
  readonly serviceHost: VirtualHost;
  readonly nexctl: Nexctl;
  readonly machines: LabMachine[] = [];
  readonly #parts: LabParts;
  readonly #keyFiles = new Map<string, Promise<string>>();
  #closing: Promise<void> | undefined;

  constructor(parts: LabParts) {
    this.#parts = parts;
    this.service = parts.service;
    this.serviceHost = parts.serviceHost;
    this.nexctl = createNexctl(parts.serviceHost, parts.service.credentialsFile);
  }

  machine(name: string): LabMachine {
    const found = this.machines.find((machine) => machine.name === name);
    if (found === undefined) throw new RangeError(`no machine ${name} has joined this lab`);
    return found;
  }

  async addMachine(name: string): Promise<LabMachine> {
    const host = await this.#parts.addHost(name);
    return await createLabMachine(host, join(this.#parts.directory, name));
  }

  async joinArguments(vpc = ''): Promise<readonly string[]> {
    const printed = this.service.joinArguments;
    const at = printed.findIndex((arg) => arg === '--reg-key-file' || arg === '--reg-key');
    const keyFile = this.#keyFiles.get(vpc) ?? this.#createKey(vpc);
    this.#keyFiles.set(vpc, keyFile);
    const shared = ['--reg-key-file', await keyFile];
    return at === -1 ? [...printed, ...shared] : printed.toSpliced(at, 2, ...shared);
  }

  async join(name: string): Promise<LabMachine> {
    const isFirst = this.machines.length === 0;
    const machine = await this.addMachine(name);
    await machine.up(isFirst ? this.service.joinArguments : await this.joinArguments());
    this.machines.push(machine);
    this.machines.sort((one, other) => one.name.localeCompare(other.name));
    return machine;
  }

  async delete(machine: LabMachine): Promise<void> {
    await this.nexctl.text(['device', 'delete', machine.deviceId]);
    this.machines.splice(this.machines.indexOf(machine), 1);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#parts.undo.disposeAsync());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #createKey(vpc: string): Promise<string> {
    const where = vpc === '' ? [] : ['--vpc', vpc];
    const args = ['reg-key', 'create', '--max-uses', '0', ...where];
    const created = createdKey.parse(await this.nexctl.json(args));
    const file = join(this.#parts.directory, `reg-key${vpc === '' ? '' : `-${vpc}`}`);
    await writeFile(file, `${created.secret}\n`, { mode: 0o600 });
    return file;
  }
}

const createdKey = z.object({ secret: z.string().min(1) });

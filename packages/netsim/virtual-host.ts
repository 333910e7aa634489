import type { CommandOptions, CommandResult } from './command.ts';
import { CommandError } from './command.ts';
import type { HostProcess } from './host-process.ts';
import { createLink } from './link.ts';
import type { Link } from './link.ts';
import { openMachine, setSysctls } from './machine.ts';
import type { Machine } from './machine.ts';
import { addNamespace, ipBatch, removeNamespaces } from './namespace.ts';
import type { SwitchBackplane } from './switch-backplane.ts';
import type { ManagedSwitch, VirtualSwitch } from './virtual-switch.ts';

/** One interface of a host: to which switch it goes and what it is there. */
export type Attachment = {
  readonly switch: VirtualSwitch;
  /** Takes the switch's gateway addresses and sets no default route over this interface. Default false. */
  readonly isGateway?: boolean;
  /** Whether the host's default routes lead over this interface to the switch's gateway. Default: the first attachment that is no gateway. */
  readonly hasDefaultRoute?: boolean;
};

/** What sort of machine a host is. */
export type HostOptions = {
  /** Forwards packets between its interfaces, both families. Default false. */
  readonly forwarding?: boolean;
};

/** A machine of a virtual network; see `Machine` for what it has of its own. */
export interface VirtualHost extends AsyncDisposable {
  readonly name: string;
  /** The name of its network namespace, for `ip netns`. */
  readonly namespace: string;
  /** Its links in the order of its attachments. */
  readonly links: readonly Link[];
  /** The first link. */
  readonly link: Link;
  /** IPv4 address on the first link; throws RangeError when that switch has no IPv4. */
  readonly ipv4: string;
  /** IPv6 address on the first link; throws RangeError when that switch has no IPv6. */
  readonly ipv6: string;
  /**
   * Runs a program on the host to its end; a non-zero exit status is a result (127: not found).
   *
   * @throws CommandError when it exceeds `timeoutMs` (default 30,000) or is aborted.
   */
  exec(command: string, args?: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /**
   * Runs a program that must succeed and gives its standard output.
   *
   * @throws CommandError as `exec`, and when the exit status is not 0.
   */
  run(command: string, args?: readonly string[], options?: CommandOptions): Promise<string>;
  /** Starts a program on the host; a program that is not found ends with exit status 127. */
  spawn(
    command: string,
    args?: readonly string[],
    options?: Pick<CommandOptions, 'cwd' | 'env'>,
  ): Promise<HostProcess>;
  /** Kills everything on the host and removes it; safe to call again. The network's `close` includes it. */
  close(): Promise<void>;
}

/** What makes a host: its place in the network and what it is attached to. */
export type HostPlan = {
  readonly name: string;
  readonly namespace: string;
  readonly attachments: readonly (Omit<Attachment, 'switch'> & {
    readonly switch: ManagedSwitch;
  })[];
  readonly options: HostOptions;
  readonly backplane: SwitchBackplane;
};

/**
 * Makes the namespace, interfaces, addresses and routes of a host; on failure nothing of it is left. Addresses are taken
 * before the first wait, so hosts made at the same time have theirs in the order of the calls.
 */
export async function openHost(plan: HostPlan): Promise<VirtualHost> {
  const cabling = planCabling(plan);
  await addNamespace(plan.namespace);
  try {
    await setSysctls(plan.namespace, hostSettings(plan.options));
    await ipBatch(plan.backplane.namespace, cabling.outside);
    await ipBatch(plan.namespace, cabling.inside);
    const machine = await openMachine(plan.namespace, plan.name);
    return new NamespaceHost(plan, machine, cabling.links);
  } catch (error) {
    await removeNamespaces([plan.namespace]);
    throw error;
  }
}

/** Addresses are static and usable at once: no duplicate address detection (RFC 4862 section 5.4), no router advertisements. */
function hostSettings(options: HostOptions): Readonly<Record<string, string>> {
  const forwarding = options.forwarding === true ? '1' : '0';
  return {
    'net.ipv6.conf.all.disable_ipv6': '0',
    'net.ipv6.conf.default.disable_ipv6': '0',
    'net.ipv6.conf.lo.disable_ipv6': '0',
    'net.ipv6.conf.all.accept_dad': '0',
    'net.ipv6.conf.default.accept_dad': '0',
    'net.ipv6.conf.default.accept_ra': '0',
    'net.ipv4.ip_forward': forwarding,
    'net.ipv6.conf.all.forwarding': forwarding,
  };
}

/** `ip` commands in the namespace of the switches and in the host's, in this order, and the links they make. */
type Cabling = {
  readonly outside: readonly string[];
  readonly inside: readonly string[];
  readonly links: readonly Link[];
};

function planCabling(plan: HostPlan): Cabling {
  const routed = plan.attachments.findIndex((attachment) => attachment.isGateway !== true);
  const outside: string[] = [];
  const inside = ['link set lo up'];
  const links = plan.attachments.map((attachment, index) => {
    const interfaceName = `eth${index}`;
    const port = `${plan.name}-${index}`;
    const { ipv4, ipv6 } = attachment.switch.assign(attachment.isGateway === true);
    outside.push(
      `link add ${port} type veth peer name ${interfaceName} netns ${plan.namespace}`,
      `link set ${port} master ${attachment.switch.bridge} up`,
    );
    if (ipv4) inside.push(`address add ${ipv4.address}/${ipv4.prefixLength} dev ${interfaceName}`);
    if (ipv6)
      inside.push(`address add ${ipv6.address}/${ipv6.prefixLength} dev ${interfaceName} nodad`);
    inside.push(`link set ${interfaceName} up`);
    if (attachment.hasDefaultRoute ?? index === routed)
      inside.push(...defaultRoutes(attachment.switch, interfaceName));
    return createLink(
      { interfaceName, port, ipv4: ipv4?.address, ipv6: ipv6?.address },
      plan.backplane,
    );
  });
  return { outside, inside, links };
}

function defaultRoutes(to: VirtualSwitch, interfaceName: string): readonly string[] {
  const gateways = [to.ipv4Gateway, to.ipv6Gateway].filter((gateway) => gateway !== undefined);
  return gateways.map((gateway) => `route add default via ${gateway} dev ${interfaceName}`);
}

class NamespaceHost implements VirtualHost {
  readonly name: string;
  readonly namespace: string;
  readonly links: readonly Link[];
  readonly #machine: Machine;

  constructor(plan: HostPlan, machine: Machine, links: readonly Link[]) {
    this.name = plan.name;
    this.namespace = plan.namespace;
    this.links = links;
    this.#machine = machine;
  }

  get link(): Link {
    const [link] = this.links;
    if (link === undefined) throw new RangeError(`host ${this.name} is attached to nothing`);
    return link;
  }

  get ipv4(): string {
    return this.#required(this.link.ipv4, 'IPv4');
  }

  get ipv6(): string {
    return this.#required(this.link.ipv6, 'IPv6');
  }

  exec(
    command: string,
    args: readonly string[] = [],
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    return this.#machine.exec([command, ...args], options);
  }

  async run(
    command: string,
    args: readonly string[] = [],
    options: CommandOptions = {},
  ): Promise<string> {
    const result = await this.exec(command, args, options);
    if (result.exitCode === 0) return result.stdout;
    const said = (result.stderr.trim() || result.stdout.trim()).slice(-2_000);
    throw new CommandError(
      `${this.name}: ${command} ${args.join(' ')}: exit status ${result.exitCode}: ${said}`,
      {
        result,
      },
    );
  }

  spawn(
    command: string,
    args: readonly string[] = [],
    options: Pick<CommandOptions, 'cwd' | 'env'> = {},
  ): Promise<HostProcess> {
    return this.#machine.spawn([command, ...args], options);
  }

  async close(): Promise<void> {
    await removeNamespaces([this.namespace]);
    await this.#machine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #required(address: string | undefined, family: string): string {
    if (address === undefined)
      throw new RangeError(`host ${this.name} has no ${family} address on its first link`);
    return address;
  }
}

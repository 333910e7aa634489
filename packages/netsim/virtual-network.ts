import { newNamespacePrefix, removeNamespaces, sweep } from './namespace.ts';
import { openSwitchBackplane } from './switch-backplane.ts';
import type { SwitchBackplane } from './switch-backplane.ts';
import { openHost } from './virtual-host.ts';
import type { Attachment, HostOptions, VirtualHost } from './virtual-host.ts';
import { planSwitch } from './virtual-switch.ts';
import type { ManagedSwitch, SwitchOptions, VirtualSwitch } from './virtual-switch.ts';

/**
 * Hosts and switches out of Linux namespaces, apart from every other network of this machine: two networks may use the
 * same names and addresses at the same time. Nothing of it exists in the namespace of the caller.
 */
export interface VirtualNetwork extends AsyncDisposable {
  /** The start of the names of its namespaces. */
  readonly id: string;
  /** Makes a switch. Names are 1 to 10 lower case letters, digits and hyphens. */
  switch(name: string, options: SwitchOptions): Promise<VirtualSwitch>;
  /**
   * Makes a host, attached to switches of this network by `eth0`, `eth1`, ... with static addresses: the first of a
   * switch gets `.10` and `::a`. Names as for switches.
   */
  host(
    name: string,
    attachments: readonly Attachment[],
    options?: HostOptions,
  ): Promise<VirtualHost>;
  /** Kills everything that runs inside and removes every namespace; safe to call again. */
  close(): Promise<void>;
}

/** Interface names have at most 15 characters (IFNAMSIZ - 1): `<host>-<index>` and `br-<switch>` must fit. */
const NAME = /^[a-z][a-z0-9-]{0,9}$/;

/**
 * Opens an empty virtual network. Needs root, `ip`, `nft`, `nsenter` and `unshare`; first removes what crashed runs left.
 *
 * @throws Error when not root; CommandError when a tool fails.
 */
export async function createVirtualNetwork(): Promise<VirtualNetwork> {
  if (process.getuid?.() !== 0)
    throw new Error('virtual networks need root: run as root or with sudo');
  await sweep();
  const id = newNamespacePrefix();
  return new NamespaceNetwork(id, await openSwitchBackplane(`${id}-switches`));
}

class NamespaceNetwork implements VirtualNetwork {
  readonly id: string;
  readonly #backplane: SwitchBackplane;
  readonly #switches = new Map<string, ManagedSwitch>();
  readonly #hosts = new Map<string, Promise<VirtualHost>>();

  constructor(id: string, backplane: SwitchBackplane) {
    this.id = id;
    this.#backplane = backplane;
  }

  async switch(name: string, options: SwitchOptions): Promise<VirtualSwitch> {
    this.#claim(name, this.#switches);
    const planned = planSwitch(name, options);
    this.#switches.set(name, planned);
    await this.#backplane.addBridge(planned.bridge);
    return planned;
  }

  async host(
    name: string,
    attachments: readonly Attachment[],
    options: HostOptions = {},
  ): Promise<VirtualHost> {
    this.#claim(name, this.#hosts);
    const opening = openHost({
      name,
      namespace: `${this.id}-${name}`,
      attachments: attachments.map((attachment) => ({
        ...attachment,
        switch: this.#managed(attachment.switch),
      })),
      options,
      backplane: this.#backplane,
    });
    this.#hosts.set(name, opening);
    return await opening;
  }

  async close(): Promise<void> {
    const hosts = await Promise.allSettled(this.#hosts.values());
    const opened = hosts.filter((host) => host.status === 'fulfilled').map((host) => host.value);
    const namespaces = opened.map((host) => host.namespace);
    await removeNamespaces([...namespaces, this.#backplane.namespace]);
    await Promise.all(opened.map((host) => host.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #claim(name: string, taken: ReadonlyMap<string, unknown>): void {
    if (!NAME.test(name))
      throw new RangeError(`"${name}" is no name for a host or switch: ${NAME.source}`);
    if (taken.has(name)) throw new RangeError(`${name} exists in this network`);
  }

  #managed(attached: VirtualSwitch): ManagedSwitch {
    const managed = this.#switches.get(attached.name);
    if (managed !== attached) throw new RangeError(`switch ${attached.name} is of another network`);
    return managed;
  }
}

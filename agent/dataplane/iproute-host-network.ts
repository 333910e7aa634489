import { setTimeout as delay } from 'node:timers/promises';
import type { CommandRunner } from './command-runner.ts';
import { canonicalCidr, isIpv6Cidr } from './core/cidr.ts';
import { parseIpInterfaces, parseIpRoutes } from './core/ip-output.ts';
import type { IpInterface } from './core/ip-output.ts';
import type { NetworkChange } from './core/operation.ts';
import type { HostNetwork } from './host-network.ts';
import { hasIpv6 } from './ipv6-switch.ts';

/** What the iproute2 adapter needs. */
export interface IprouteHostNetworkOptions {
  readonly interfaceName: string;
  readonly runner: CommandRunner;
}

/** A burst of events (a network change is dozens of lines) is told once, this long after its first. */
const COALESCE_MS = 100;

/** Pause before `ip monitor` is started again after it ended by itself. */
const RESTART_PAUSE_MS = 1000;

/** Addresses and routes through iproute2: one `ip -batch -` per change. */
export function createIprouteHostNetwork(options: IprouteHostNetworkOptions): HostNetwork {
  const { interfaceName, runner } = options;
  return {
    read: async () => {
      const link = await readIpInterface(runner, interfaceName);
      const routes = link && (await readAllRoutes(options));
      if (link === null || routes === null) return null;
      const { index, mtuBytes, isUp } = link;
      return { index, mtuBytes, isUp, addresses: globalPrefixes(link), routes };
    },
    hasIpv6: () => hasIpv6(runner, interfaceName),
    change: async (change) => {
      const isIpv6On = change.up === true && (await hasIpv6(runner, interfaceName));
      const settings = isIpv6On ? ['addrgenmode none', 'up'] : ['up'];
      const stdin = renderBatch(interfaceName, change, change.up === true ? settings : []);
      await runner.run('ip', ['-batch', '-'], { stdin });
    },
    onLinkPrefixes: async () => {
      const others = (await readIpInterfaces(runner)).filter(
        (link) => link.name !== interfaceName && !link.isLoopback,
      );
      return others.flatMap((link) =>
        globalPrefixes(link).map((prefix) => ({ interfaceName: link.name, prefix })),
      );
    },
    localAddresses: async () => {
      const usable = (await readIpInterfaces(runner)).filter(
        (link) => link.isUp && !link.isLoopback && !link.isTunnel && link.name !== interfaceName,
      );
      return usable.flatMap((link) =>
        link.addresses
          .filter((address) => address.isUsable && !address.isLinkLocal)
          .map(({ address }) => ({ interfaceName: link.name, address })),
      );
    },
    watch: (onChange, signal) => watchChanges(runner, onChange, signal),
  };
}

/** The interface of this name in the runner's network namespace; null where there is none. */
export async function readIpInterface(
  runner: CommandRunner,
  name: string,
): Promise<IpInterface | null> {
  return (await readIpInterfaces(runner)).find((link) => link.name === name) ?? null;
}

async function readIpInterfaces(runner: CommandRunner): Promise<IpInterface[]> {
  return parseIpInterfaces(
    (await runner.run('ip', ['-json', '-details', 'address', 'show'])).stdout,
  );
}

/** Null: the interface vanished in the meantime. */
async function readAllRoutes(options: IprouteHostNetworkOptions): Promise<string[] | null> {
  try {
    return [...(await readRoutes(options, '-4')), ...(await readRoutes(options, '-6'))];
  } catch (error) {
    if ((await readIpInterface(options.runner, options.interfaceName)) === null) return null;
    throw error;
  }
}

async function readRoutes(
  { interfaceName, runner }: IprouteHostNetworkOptions,
  family: '-4' | '-6',
): Promise<string[]> {
  const shown = await runner.run('ip', ['-json', family, 'route', 'show', 'dev', interfaceName]);
  return parseIpRoutes(shown.stdout, family);
}

function globalPrefixes(link: IpInterface): string[] {
  return link.addresses
    .filter((address) => !address.isLinkLocal)
    .flatMap(({ address, prefixLength }) => canonicalCidr(`${address}/${prefixLength}`) ?? []);
}

function renderBatch(name: string, change: NetworkChange, settings: readonly string[]): string {
  const link = (setting: string) => `link set dev ${name} ${setting}`;
  return [
    ...(change.removeRoutes ?? []).map((cidr) => `route del ${cidr} dev ${name}`),
    ...(change.removeAddresses ?? []).map((cidr) => `address del ${cidr} dev ${name}`),
    ...(change.mtuBytes === undefined ? [] : [link(`mtu ${change.mtuBytes}`)]),
    ...(change.addAddresses ?? []).map(
      (cidr) => `address replace ${cidr} dev ${name}${isIpv6Cidr(cidr) ? ' nodad' : ''}`,
    ),
    ...settings.map(link),
    ...(change.addRoutes ?? []).map((cidr) => `route replace ${cidr} dev ${name}`),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

async function watchChanges(
  runner: CommandRunner,
  onChange: () => void,
  signal: AbortSignal,
): Promise<void> {
  let pending: NodeJS.Timeout | undefined;
  const tellSoon = () => {
    pending ??= setTimeout(() => {
      pending = undefined;
      onChange();
    }, COALESCE_MS);
  };
  while (!signal.aborted) {
    await runner.follow('ip', ['-oneline', 'monitor', 'link', 'address', 'route'], {
      onLine: tellSoon,
      signal,
    });
    if (!signal.aborted) {
      tellSoon();
      await delay(RESTART_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }
  clearTimeout(pending);
}

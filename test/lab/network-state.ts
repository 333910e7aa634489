import { processesIn, type VirtualHost } from '@nexodus/netsim';
import { z } from 'zod';

/** Kernel and files of a machine as far as a tunnel could leave something in them. */
export interface NetworkState {
  readonly interfaces: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly rules: readonly string[];
  readonly tables: readonly string[];
  /** Process ids. */
  readonly processes: readonly number[];
  /** Files below /run: sockets and what programs note there. */
  readonly runtimeFiles: readonly string[];
}

/** Reads what a machine holds, each list sorted. */
export async function readNetworkState(host: VirtualHost): Promise<NetworkState> {
  const [links, addresses, routes, rules, tables, files] = await Promise.all([
    host.run('ls', ['/sys/class/net']),
    host.run('ip', ['-o', 'address', 'show', 'scope', 'global']),
    bothFamilies(host, ['route', 'show', 'table', 'all']),
    bothFamilies(host, ['rule', 'show']),
    host.run('nft', ['list', 'tables']),
    host.run('find', ['/run', '-mindepth', '1', '-not', '-type', 'd']),
  ]);
  // Not before those programs have ended: they run there too.
  const processes = await processesIn(host.namespace);
  return {
    interfaces: sortedLines(links),
    addresses: sortedLines(addresses),
    routes: sortedLines(routes),
    rules: sortedLines(rules),
    tables: sortedLines(tables),
    processes: processes.toSorted((a, b) => a - b),
    runtimeFiles: sortedLines(files),
  };
}

/** Destinations of the routes over an interface, host routes with their length; the kernel's own IPv6 ones left out. */
export async function routesOver(
  host: VirtualHost,
  interfaceName: string,
): Promise<readonly string[]> {
  const listed = await Promise.all(
    ['-4', '-6'].map((family) =>
      host.run('ip', ['-json', family, 'route', 'show', 'table', 'main', 'dev', interfaceName]),
    ),
  );
  return listed
    .flatMap((json, index) => {
      const length = index === 0 ? 32 : 128;
      return routeList.parse(JSON.parse(json)).map(({ dst }) => withLength(dst, length));
    })
    .filter((destination) => !destination.startsWith('fe80:'))
    .toSorted();
}

/** MTU of an interface in bytes. */
export async function mtuOf(host: VirtualHost, interfaceName: string): Promise<number> {
  const json = await host.run('ip', ['-json', 'link', 'show', 'dev', interfaceName]);
  return linkList.parse(JSON.parse(json))[0].mtu;
}

/** The agent's nft table of an interface, as nft lists it; throws CommandError when there is none. */
export function firewallOf(host: VirtualHost, interfaceName: string): Promise<string> {
  return host.run('nft', ['list', 'table', 'inet', `nexodus_${interfaceName}`]);
}

/** Packets that a named counter of the agent's nft table has seen. */
export async function droppedPackets(
  host: VirtualHost,
  interfaceName: string,
  counter: `dropped_${'input' | 'output' | 'forward' | 'stray'}`,
): Promise<number> {
  const args = ['list', 'counter', 'inet', `nexodus_${interfaceName}`, counter];
  const match = /packets (\d+)/.exec(await host.run('nft', args));
  if (match === null) throw new Error(`${host.name}: nft shows no packets for ${counter}`);
  return Number(match[1]);
}

const routeList = z.array(z.object({ dst: z.string() }));
const linkList = z.tuple([z.object({ mtu: z.int() })]);

/** `ip -json route` of an empty list prints `[ ]`; of a family's default it says `default`. */
function withLength(destination: string, length: number): string {
  return destination.includes('/') || destination === 'default'
    ? destination
    : `${destination}/${length}`;
}

async function bothFamilies(host: VirtualHost, args: readonly string[]): Promise<string> {
  const [ipv4, ipv6] = await Promise.all([
    host.run('ip', ['-4', ...args]),
    host.run('ip', ['-6', ...args]),
  ]);
  return `${ipv4}${ipv6}`;
}

function sortedLines(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .toSorted();
}

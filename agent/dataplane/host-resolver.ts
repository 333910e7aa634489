import { readlink } from 'node:fs/promises';
import type { CommandRunner } from './command-runner.ts';

/** How the machine's resolver was told of the VPC's domain. */
export type HostResolverHook = 'systemd-resolved' | 'openresolv' | 'none';

/** The machine's own name resolution, told to ask our server for one domain and for nothing else. */
export interface HostResolver {
  readonly hook: HostResolverHook;
  /** Sends queries below `domain` to the server; replaces what was set before. */
  route(serverAddress: string, domain: string): Promise<void>;
  /** Takes that back; idempotent, also for what an earlier process set. */
  unroute(): Promise<void>;
}

/** What `findHostResolver` needs. */
export interface HostResolverOptions {
  readonly interfaceName: string;
  readonly runner: CommandRunner;
}

/**
 * Finds a resolver that can be split by domain: systemd-resolved where /etc/resolv.conf is its, or openresolv (whose
 * `-p` keeps a server private to its domains; Debian's older resolvconf cannot and would hand us all names). `none`
 * leaves the machine alone; /etc/resolv.conf is never written.
 */
export async function findHostResolver(options: HostResolverOptions): Promise<HostResolver> {
  const target = await readlink('/etc/resolv.conf').catch(() => '');
  if (
    target.includes('systemd/resolve') &&
    (await answers(options.runner, 'resolvectl', 'status'))
  ) {
    return systemdResolved(options);
  }
  if (await answers(options.runner, 'resolvconf', '--version', 'openresolv')) {
    return openresolv(options);
  }
  return { hook: 'none', route: async () => undefined, unroute: async () => undefined };
}

async function answers(
  runner: CommandRunner,
  command: string,
  argument: string,
  expected = '',
): Promise<boolean> {
  try {
    const { exitCode, stdout } = await runner.probe(command, [argument]);
    return exitCode === 0 && stdout.includes(expected);
  } catch {
    return false;
  }
}

function systemdResolved({ interfaceName, runner }: HostResolverOptions): HostResolver {
  return {
    hook: 'systemd-resolved',
    route: async (serverAddress, domain) => {
      await runner.run('resolvectl', ['dns', interfaceName, serverAddress]);
      await runner.run('resolvectl', ['domain', interfaceName, `~${domain}`]);
      await runner.run('resolvectl', ['default-route', interfaceName, 'no']);
    },
    unroute: async () => {
      await runner.probe('resolvectl', ['revert', interfaceName]);
    },
  };
}

function openresolv({ interfaceName, runner }: HostResolverOptions): HostResolver {
  const key = `${interfaceName}.nexodus`;
  return {
    hook: 'openresolv',
    route: async (serverAddress, domain) => {
      const stdin = `domain ${domain}\nnameserver ${serverAddress}\n`;
      await runner.run('resolvconf', ['-p', '-a', key], { stdin });
    },
    unroute: async () => {
      await runner.run('resolvconf', ['-f', '-d', key]);
    },
  };
}

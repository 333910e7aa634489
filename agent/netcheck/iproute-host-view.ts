import type { CommandRunner } from '../dataplane/index.ts';
import { parseIpInterfaces } from '../dataplane/core/ip-output.ts';
import { parseDefaultRoutes, parseRouteTo } from './core/route-output.ts';
import type { HostView } from './host-view.ts';

/** What the iproute2 adapter needs. */
export interface IprouteHostViewOptions {
  /** The tunnel's. */
  readonly interfaceName: string;
  readonly runner: CommandRunner;
}

/** Looks through iproute2. */
export function createIprouteHostView(options: IprouteHostViewOptions): HostView {
  const { interfaceName, runner } = options;
  const defaults = async (family: '-4' | '-6'): Promise<string[]> => {
    const shown = await runner.run('ip', ['-json', family, 'route', 'show', 'default']);
    return parseDefaultRoutes(shown.stdout, interfaceName);
  };
  return {
    interfaces: async () => {
      const shown = await runner.run('ip', ['-json', '-details', 'address', 'show']);
      return parseIpInterfaces(shown.stdout);
    },
    defaultRoutes: async () => [...(await defaults('-4')), ...(await defaults('-6'))],
    routeTo: async (address) => {
      // No route is an error to `ip`, and an answer here.
      const shown = await runner.probe('ip', ['-json', 'route', 'get', address]);
      return shown.exitCode === 0 ? parseRouteTo(shown.stdout) : null;
    },
  };
}

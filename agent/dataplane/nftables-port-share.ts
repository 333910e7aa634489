import type { CommandRunner } from './command-runner.ts';
import { portShareTable, renderPortShare } from './core/port-share-ruleset.ts';
import type { PortShare } from './port-share.ts';

/** What the nftables adapter needs. */
export interface NftablesPortShareOptions {
  readonly interfaceName: string;
  readonly runner: CommandRunner;
}

/** The shared port as table `inet nexodus_INTERFACE_port` of nftables. */
export function createNftablesPortShare(options: NftablesPortShareOptions): PortShare {
  const { interfaceName, runner } = options;
  const table = portShareTable(interfaceName);
  return {
    install: async (ports) => {
      await runner.run('nft', ['-f', '-'], { stdin: renderPortShare(interfaceName, ports) });
    },
    remove: async () => {
      const stdin = `add table inet ${table}\ndelete table inet ${table}\n`;
      await runner.run('nft', ['-f', '-'], { stdin });
    },
  };
}

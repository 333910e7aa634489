import type { CommandRunner } from './command-runner.ts';
import { parseFirewallListing } from './core/firewall-listing.ts';
import { firewallTable, renderFirewall, renderFirewallChange } from './core/firewall-ruleset.ts';
import type { Firewall, FirewallReading } from './firewall.ts';

/** What the nftables adapter needs. */
export interface NftablesFirewallOptions {
  readonly interfaceName: string;
  readonly runner: CommandRunner;
}

/**
 * The firewall as table `inet nexodus_INTERFACE` of nftables. It knows its rules by the listing that followed its own
 * `replace`; a table that another process installed reads as not intact until it is replaced.
 */
export function createNftablesFirewall(options: NftablesFirewallOptions): Firewall {
  const { interfaceName, runner } = options;
  const table = firewallTable(interfaceName);
  let installedRules: string | null = null;

  const list = async () => {
    const shown = await runner.probe('nft', ['-j', 'list', 'table', 'inet', table]);
    if (shown.exitCode === 0) return parseFirewallListing(shown.stdout);
    await runner.run('nft', ['-j', 'list', 'tables']);
    return null;
  };

  return {
    replace: async (firewall) => {
      installedRules = null;
      await runner.run('nft', ['-f', '-'], { stdin: renderFirewall(interfaceName, firewall) });
      installedRules = (await list())?.rules ?? null;
    },
    update: async (change) => {
      await runner.run('nft', ['-f', '-'], { stdin: renderFirewallChange(interfaceName, change) });
    },
    read: async (): Promise<FirewallReading | null> => {
      const listing = await list();
      if (listing === null) return null;
      return { ...listing.plan, drops: listing.drops, isIntact: listing.rules === installedRules };
    },
    remove: async () => {
      const stdin = `add table inet ${table}\ndelete table inet ${table}\n`;
      await runner.run('nft', ['-f', '-'], { stdin });
      installedRules = null;
    },
  };
}

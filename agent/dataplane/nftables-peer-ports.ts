import type { CommandRunner } from './command-runner.ts';
import { renderPeerPorts } from './core/peer-ports-ruleset.ts';
import type { PeerPorts } from './peer-ports.ts';

/** What the nftables adapter needs. */
export interface NftablesPeerPortsOptions {
  readonly interfaceName: string;
  readonly runner: CommandRunner;
}

/** Peers' ports as rules of table `inet nexodus_INTERFACE_peers` of nftables. */
export function createNftablesPeerPorts({
  interfaceName,
  runner,
}: NftablesPeerPortsOptions): PeerPorts {
  return {
    install: async (tunnelPort, ports) => {
      const stdin = renderPeerPorts(interfaceName, tunnelPort, ports);
      await runner.run('nft', ['-f', '-'], { stdin });
    },
  };
}

import type { CommandRunner } from './command-runner.ts';
import { renderSourcePins } from './core/source-pin-ruleset.ts';
import type { SourcePin } from './source-pin.ts';

/** What the nftables adapter needs. */
export interface NftablesSourcePinOptions {
  readonly interfaceName: string;
  readonly runner: CommandRunner;
}

/** Pins as rules of table `inet nexodus_INTERFACE_pin` of nftables. */
export function createNftablesSourcePin({
  interfaceName,
  runner,
}: NftablesSourcePinOptions): SourcePin {
  return {
    install: async (tunnelPort, pins) => {
      const stdin = renderSourcePins(interfaceName, tunnelPort, pins);
      await runner.run('nft', ['-f', '-'], { stdin });
    },
  };
}

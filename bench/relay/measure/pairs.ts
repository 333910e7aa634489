import type { BenchNetwork } from '../bench-network.ts';
import type { PairProgrammingCalls, PairProgrammingConfig } from '../program/pair-programming.ts';
import { startProgram } from '../program/running-program.ts';
import { quantile } from './quantile.ts';

/** How long nftables takes to learn and forget one pair beside others. */
export interface PairsMeasurement {
  readonly technology: 'library' | 'command';
  readonly present: number;
  readonly addP50Ms: number;
  readonly addP99Ms: number;
  readonly removeP50Ms: number;
}

/** Pairs that are there before. */
const PRESENT = 10_000;
const TIMES = { library: 500, command: 30 } as const;

/** Programs pairs with the relay's own rules, in the relay's process and by running `nft`. */
export async function measurePairs(network: BenchNetwork): Promise<readonly PairsMeasurement[]> {
  const config: PairProgrammingConfig = { address: network.relayAddress, present: PRESENT };
  await using program = await startProgram<PairProgrammingCalls>({
    host: network.relay,
    file: './pair-programming.ts',
    config,
  });
  await program.call('fill');
  const measurements: PairsMeasurement[] = [];
  for (const technology of ['library', 'command'] as const) {
    const times = TIMES[technology];
    const { addMs, removeMs } = await program.call('measure', { technology, times });
    measurements.push({
      technology,
      present: PRESENT,
      addP50Ms: quantile(addMs, 0.5),
      addP99Ms: quantile(addMs, 0.99),
      removeP50Ms: quantile(removeMs, 0.5),
    });
  }
  return measurements;
}

import { type BenchNetwork, openBenchNetwork } from './bench-network.ts';
import type { RelayLane } from './lane/relay-lane.ts';
import { measurePairs, type PairsMeasurement } from './measure/pairs.ts';
import { measureStreams, type StreamMeasurement } from './measure/stream.ts';
import { measureTunnel, type TunnelMeasurement } from './measure/tunnel.ts';

/** What is to be measured. */
export interface RelayBenchPlan {
  readonly lanes: readonly RelayLane[];
  /** Rounds; each measures all lanes once, in turn. */
  readonly rounds: number;
  /** Length of each measurement of TCP and of each stream. */
  readonly seconds: number;
  /** Folder for profiles of the lanes' Node processes; undefined: none. */
  readonly profileFolder: string | undefined;
  /** Tells what is going on. */
  readonly report: (step: string) => void;
  /** Removes everything when it aborts; the run then fails. */
  readonly signal: AbortSignal;
}

/** One lane in one round. */
export interface LaneMeasurement {
  readonly lane: string;
  readonly round: number;
  readonly tunnel: TunnelMeasurement;
  readonly streams: readonly StreamMeasurement[];
}

/** Everything that was measured. */
export interface RelayBenchResult {
  readonly measurements: readonly LaneMeasurement[];
  readonly pairs: readonly PairsMeasurement[];
}

/** Builds the network, measures, and removes it. */
export async function runRelayBench(plan: RelayBenchPlan): Promise<RelayBenchResult> {
  const network = await openBenchNetwork();
  const interrupted = new Promise<never>((_resolve, reject) => {
    const abort = (): void => reject(new Error('interrupted', { cause: plan.signal.reason }));
    if (plan.signal.aborted) abort();
    plan.signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([measureAll(network, plan), interrupted]);
  } finally {
    await network.close();
  }
}

async function measureAll(network: BenchNetwork, plan: RelayBenchPlan): Promise<RelayBenchResult> {
  const measurements: LaneMeasurement[] = [];
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const lane of plan.lanes) {
      const measured = await measureLane(network, lane, plan);
      const { megabitsPerSecond } = measured.tunnel;
      plan.report(`round ${round}: ${lane.name}: ${Math.round(megabitsPerSecond)} Mbit/s`);
      measurements.push({ lane: lane.name, round, ...measured });
    }
  }
  plan.report('programming pairs');
  return { measurements, pairs: await measurePairs(network) };
}

async function measureLane(
  network: BenchNetwork,
  lane: RelayLane,
  { seconds, profileFolder }: RelayBenchPlan,
): Promise<Pick<LaneMeasurement, 'tunnel' | 'streams'>> {
  const nodeArguments =
    profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
  const running = await lane.start({ network, nodeArguments });
  try {
    const tunnel = await measureTunnel(network, running, seconds);
    return { tunnel, streams: await measureStreams(network, running, seconds) };
  } finally {
    await running.stop();
  }
}

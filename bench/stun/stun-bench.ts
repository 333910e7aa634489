import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import type { Bench } from '../bench.ts';
import { median } from '../median.ts';
import { measureServer, type ServerMeasurement } from './measure-server.ts';
import { OURS, PEERS } from './stun-servers.ts';

/** Rounds of a run that does not say how many. */
const DEFAULT_ROUNDS = 5;
const DEFAULT_SECONDS = 2;

/** One server in one round. */
interface RoundMeasurement extends ServerMeasurement {
  readonly server: string;
  readonly round: number;
}

/** Answers a second, and processor time for an answer, of our STUN server and of coturn's, each alone on one processor. */
export const stunBench: Bench = {
  summary: 'answers/s of STUN servers, each alone on one processor [--rounds 5] [--seconds 2]',
  run: async ({ args, report, signal }) =>
    renderStunTable(await measureAll({ ...optionsOf(args), report, signal })),
};

async function measureAll(plan: {
  readonly rounds: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
  readonly report: (step: string) => void;
}): Promise<RoundMeasurement[]> {
  if (availableParallelism() < 2) throw new Error('the server and the load need a processor each');
  const measured: RoundMeasurement[] = [];
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const server of [...PEERS, ...OURS]) {
      const result = await measureServer(server, plan);
      measured.push({ server: server.name, round, ...result });
      plan.report(
        `round ${round}: ${server.name}: ${Math.round(result.answersPerSecond)} answers/s`,
      );
    }
  }
  return measured;
}

function optionsOf(args: readonly string[]): { rounds: number; seconds: number } {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string' }, seconds: { type: 'string' } },
  });
  const rounds = Number(values.rounds ?? DEFAULT_ROUNDS);
  const seconds = Number(values.seconds ?? DEFAULT_SECONDS);
  if (!(Number.isInteger(rounds) && rounds >= 1 && seconds > 0)) {
    throw new RangeError('--rounds is a whole number from 1, --seconds more than 0');
  }
  return { rounds, seconds };
}

/** Medians over the rounds. The ratio is that to the better peer of the same round. */
export function renderStunTable(measured: readonly RoundMeasurement[]): string {
  const table = new Table({
    head: ['server', 'answers/s', 'to coturn', 'CPU us/answer', 'server busy', 'load busy'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  const names = [...new Set(measured.map(({ server }) => server))];
  for (const name of names) {
    const rounds = measured.filter(({ server }) => server === name);
    const middle = (of: (one: RoundMeasurement) => number): number => median(rounds.map(of));
    table.push([
      name,
      Math.round(middle((one) => one.answersPerSecond)).toLocaleString('en'),
      `${middle((one) => one.answersPerSecond / bestPeer(measured, one.round)).toFixed(2)}x`,
      middle((one) => one.cpuMicrosPerAnswer).toFixed(2),
      percent(middle((one) => one.serverUse)),
      percent(middle((one) => one.loadUse)),
    ]);
  }
  const rounds = new Set(measured.map(({ round }) => round)).size;
  return `${table.toString()}\nMedians of ${rounds} rounds, each server alone on one processor.`;
}

function bestPeer(measured: readonly RoundMeasurement[], round: number): number {
  const peers = PEERS.map(({ name }) => name);
  const rates = measured
    .filter((one) => one.round === round && peers.includes(one.server))
    .map(({ answersPerSecond }) => answersPerSecond);
  return Math.max(...rates);
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { judgeWireguardGoVersion } from '@nexodus/agent/testing';
import { runChecked } from '@nexodus/netsim';
import { OLDEST_WIREGUARD_GO } from '../../tools/setup/debian-packages.ts';
import type { Bench } from '../bench.ts';
import { lanes } from './lane/lanes.ts';
import type { RelayLane } from './lane/relay-lane.ts';
import { renderRelayResult } from './render-relay-result.ts';
import { runRelayBench } from './run-relay-bench.ts';

const DEFAULT_ROUNDS = 3;
const DEFAULT_SECONDS = 4;
/** For a look, not for a figure. */
const QUICK = { rounds: 1, seconds: 2 };

/** What the command line asks for. */
interface Wish {
  readonly lanes: readonly RelayLane[];
  readonly rounds: number;
  readonly seconds: number;
  readonly profileFolder: string | undefined;
}

/** Our relay's lanes beside a plain router and a TURN server. Needs root. */
export const relayBench: Bench = {
  summary:
    'WireGuard and delays through each relay [--only LANE,...] [--quick] [--rounds 3] [--seconds 4] [--profile FOLDER]',
  run: async ({ args, report, signal }) => {
    const wish = wishOf(args);
    await refuseWhatIsUnfit();
    if (wish.profileFolder !== undefined) mkdirSync(wish.profileFolder, { recursive: true });
    return renderRelayResult(await runRelayBench({ ...wish, report, signal }));
  },
};

function wishOf(args: readonly string[]): Wish {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const usual = values.quick ? QUICK : { rounds: DEFAULT_ROUNDS, seconds: DEFAULT_SECONDS };
  return {
    lanes: lanesOf(values.only),
    rounds: countOf('--rounds', values.rounds, usual.rounds),
    seconds: countOf('--seconds', values.seconds, usual.seconds),
    profileFolder: values.profile && resolve(values.profile),
  };
}

function lanesOf(only: readonly string[] | undefined): readonly RelayLane[] {
  const wanted = only?.flatMap((names) => names.split(','));
  const known = lanes.map(({ name }) => name);
  const unknown = wanted?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new RangeError(`there is no lane "${unknown}"; --only takes some of: ${known.join(',')}`);
  }
  return lanes.filter(({ name }) => wanted?.includes(name) ?? true);
}

function countOf(option: string, text: string | undefined, usual: number): number {
  const value = Number(text ?? usual);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new RangeError(`${option} is a whole number from 1`);
}

async function refuseWhatIsUnfit(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('virtual networks need root: run it as root');
  const printed = await runChecked(['wireguard-go', '--version']);
  const { version, isAccepted } = judgeWireguardGoVersion(printed);
  if (!isAccepted) {
    throw new Error(
      `wireguard-go ${version} is too old to compare anything with: ${OLDEST_WIREGUARD_GO} or later is needed`,
    );
  }
}

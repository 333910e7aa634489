import { Command, CommanderError } from 'commander';
import type { Scenario } from './scenario.ts';
import { scenarios } from './scenarios.ts';

/** Exit codes of `npm run lab`. */
const ExitCode = { works: 0, fails: 1, usage: 2, interrupted: 130 } as const;

/** What the command line asks for. */
interface LabWish {
  readonly scenario: Scenario;
  readonly isKept: boolean;
}

/**
 * `npm run lab [-- <scenario>] [--keep]`: progress on standard error, the scenario's table on standard output. Ctrl-C
 * removes everything too.
 *
 * @returns the exit code: 0 when everything works, 1 when not, 2 for a wrong command line or missing rights
 */
export async function runLabCommand(argv: readonly string[]): Promise<number> {
  const wish = parseWish(argv);
  if (typeof wish === 'number') return wish;
  if (process.getuid?.() !== 0) {
    tell('virtual machines on a virtual network need root. Run it as root: sudo npm run lab');
    return ExitCode.usage;
  }
  const interruption = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (interruption.signal.aborted) process.exit(ExitCode.interrupted);
    if (!wish.isKept) tell(`${name}: removing the lab; once more leaves it as it is`);
    interruption.abort(new Error(`interrupted by ${name}`));
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, onSignal);
  try {
    return await runScenario(wish, interruption.signal);
  } finally {
    for (const name of signals) process.off(name, onSignal);
  }
}

async function runScenario({ scenario, isKept }: LabWish, signal: AbortSignal): Promise<number> {
  const startedAtMs = performance.now();
  const report = (step: string): void => {
    const seconds = (performance.now() - startedAtMs) / 1000;
    tell(`${seconds.toFixed(1).padStart(5)} s  ${step}`);
  };
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  try {
    const isWorking = await scenario.run({ report, print, signal, isKept });
    if (!isWorking) tell('at least one pair fails');
    return isWorking ? ExitCode.works : ExitCode.fails;
  } catch (error) {
    if (signal.aborted) return ExitCode.interrupted;
    tell(error instanceof Error ? describe(error) : String(error));
    return ExitCode.fails;
  }
}

function parseWish(argv: readonly string[]): LabWish | number {
  const program = new Command('npm run lab --')
    .description(
      'Builds machines on a virtual network, joins them, measures all pairs and cleans up.',
    )
    .argument('[scenario]', 'what to build', scenarios[0].name)
    .option('--keep', 'leave everything as it is until Ctrl-C', false)
    .exitOverride()
    .addHelpText('after', () => `\nScenarios:\n${scenarios.map(describeScenario).join('\n')}`);
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? ExitCode.works : ExitCode.usage;
  }
  const name = program.processedArgs[0];
  const scenario = scenarios.find((candidate) => candidate.name === name);
  if (scenario === undefined) {
    const known = scenarios.map((candidate) => candidate.name).join(', ');
    tell(`there is no scenario ${String(name)}. Choose one of: ${known}`);
    return ExitCode.usage;
  }
  return { scenario, isKept: program.opts<{ keep: boolean }>().keep };
}

function describeScenario({ name, summary }: Scenario): string {
  return `  ${name.padEnd(16)}${summary}`;
}

/** The message and those of its causes: what a nexd or a service said last is in there. */
function describe(error: Error): string {
  const cause = error.cause instanceof Error ? `\n  because: ${describe(error.cause)}` : '';
  return `${error.message}${cause}`;
}

function tell(text: string): void {
  process.stderr.write(`lab: ${text}\n`);
}

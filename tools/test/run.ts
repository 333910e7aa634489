/**
 * `npm test [-- filters and vitest options]`: every test of the repository. The last line is `N passed, N failed`; the
 * exit code is 0 only if tests ran, none failed and none was skipped.
 */
import { createVitest, parseCLI, type Vitest } from 'vitest/node';
import { setup as prepareDebian } from './debian-global-setup.ts';
import { exitCodeOf, lastLine, tally, type Tally } from './tally.ts';

/** The outcome until the tests have ended: also what an interrupted run reports. */
const NOTHING_RAN: Tally = { passed: 0, failed: 1, notRun: [] };

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  let result = NOTHING_RAN;
  let isFilteredByName = false;
  // At exit, because vitest ends the process itself when it is interrupted.
  process.once('exit', () => {
    const left = isFilteredByName ? [] : result.notRun;
    const lines = left.map((name) => `not run, which is an error: ${name}`);
    process.stdout.write(`${[...lines, lastLine(result)].join('\n')}\n`);
  });
  try {
    const { filter, options } = parseCLI(['vitest', 'run', ...args]);
    isFilteredByName = options.testNamePattern !== undefined;
    await prepareDebian();
    const vitest = await createVitest({ ...options, run: true, watch: false });
    result = await runAll(vitest, filter);
  } catch (error) {
    process.stderr.write(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  }
  return exitCodeOf(result, isFilteredByName);
}

async function runAll(vitest: Vitest, filter: string[]): Promise<Tally> {
  try {
    const { testModules, unhandledErrors } = await vitest.start(filter);
    return tally(testModules, unhandledErrors);
  } finally {
    await vitest.close();
  }
}

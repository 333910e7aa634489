/**
 * `npm test [-- filters and vitest options]`: every test of the repository. The last line is `N passed, N failed`; the
 * exit code is 0 only if tests ran, none failed and none was skipped.
 */
import { createVitest, parseCLI, type Vitest } from 'vitest/node';
import { setup as prepareDebian } from './debian-global-setup.ts';
import { exitCodeOf, lastLine, tally, type Tally } from './tally.ts';

const NOTHING_RAN: Tally = { passed: 0, failed: 1, notRun: [] };

process.exitCode = 1;
process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  let result = NOTHING_RAN;
  let isFilteredByName = false;
  try {
    const { filter, options } = parseCLI(['vitest', 'run', ...args]);
    isFilteredByName = options.testNamePattern !== undefined;
    await prepareDebian();
    const vitest = await createVitest({ ...options, run: true, watch: false });
    result = await runAll(vitest, filter);
  } catch (error) {
    // vitest has already said so when no file matches the filter.
    process.stderr.write(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  }
  if (!isFilteredByName) {
    for (const name of result.notRun) process.stdout.write(`not run, which is an error: ${name}\n`);
  }
  process.stdout.write(`${lastLine(result)}\n`);
  return exitCodeOf(result, isFilteredByName);
}

async function runAll(vitest: Vitest, filter: string[]): Promise<Tally> {
  const cancel = () => void vitest.cancelCurrentRun('keyboard-input');
  process.once('SIGINT', cancel);
  process.once('SIGTERM', cancel);
  try {
    const { testModules, unhandledErrors } = await vitest.start(filter);
    return tally(testModules, unhandledErrors);
  } finally {
    await vitest.close();
  }
}

/**
 * `npm test [-- filters and vitest options]`: every test of the repository. The last line is `N passed, N failed`; the
 * exit code is 0 only if tests ran, none failed and none was skipped.
 */
import { createVitest, parseCLI, type Vitest } from 'vitest/node';
import { setup as prepareDebian } from './debian-global-setup.ts';
import { findObstacles, isRoot, runInNamespaces, whyNoNamespaces } from './own-namespaces.ts';
import { exitCodeOf, lastLine, tally, type Tally } from './tally.ts';

/** The outcome until the tests have ended: also what an interrupted run reports. */
const NOTHING_RAN: Tally = { passed: 0, failed: 1, notRun: [] };

/** Exit codes above it are those of a program that a signal ended; Ctrl-C is the one that vitest answers itself. */
const SIGNAL_CODES = 128;
const INTERRUPTED = 130;

const args = process.argv.slice(2);
process.exit(await (isRoot() ? runTests(args) : runAsUser(args)));

/** As any user but root: the whole run again in namespaces where that user is root. */
async function runAsUser(args: readonly string[]): Promise<number> {
  await prepareDebian();
  const noNamespaces = await whyNoNamespaces();
  if (noNamespaces !== undefined) return runTests(args, noNamespaces);
  const code = await runInNamespaces([process.execPath, import.meta.filename, ...args]);
  // Killed, so it has not printed its last line.
  if (code > SIGNAL_CODES && code !== INTERRUPTED)
    process.stdout.write(`${lastLine(NOTHING_RAN)}\n`);
  return code;
}

async function runTests(args: readonly string[], noNamespaces?: string): Promise<number> {
  let result = NOTHING_RAN;
  let isFilteredByName = false;
  const obstacles = findObstacles(noNamespaces)
    .map((line) => `test: ${line}\n`)
    .join('');
  process.stderr.write(obstacles);
  // At exit, because vitest ends the process itself when it is interrupted.
  process.once('exit', () => {
    if (result.failed > 0) process.stderr.write(obstacles);
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

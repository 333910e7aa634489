/**
 * `npm run bench -- NAME [options]`: measures a part of the product beside its peers. Progress goes to standard error,
 * tables to standard output. Ctrl-C removes everything that was built.
 */
import { applyDebianCache, prepareDebianCache } from '../tools/setup/debian.ts';
import { printFailure, SetupError } from '../tools/setup/report.mjs';
import type { Bench } from './bench.ts';
import { machineFacts } from './machine-facts.ts';
import { relayBench } from './relay/relay-bench.ts';
import { stunBench } from './stun/stun-bench.ts';

const benches: Readonly<Record<string, Bench>> = { stun: stunBench, relay: relayBench };

const ExitCode = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

const [name = '', ...args] = process.argv.slice(2);
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined;
process.exitCode = bench === undefined ? explain() : await measure(bench);

function explain(): number {
  tell('npm run bench -- NAME [options]');
  for (const [known, { summary }] of Object.entries(benches)) tell(`  ${known}: ${summary}`);
  return ExitCode.usage;
}

async function measure({ run }: Bench): Promise<number> {
  const signal = interruption();
  try {
    await preparePrograms();
    process.stdout.write(`${machineFacts()}\n`);
    process.stdout.write(`${await run({ args, report: tell, signal })}\n`);
    return ExitCode.done;
  } catch (error) {
    if (signal.aborted) return ExitCode.interrupted;
    tell(error instanceof Error ? error.message : String(error));
    return isUsageError(error) ? ExitCode.usage : ExitCode.failed;
  }
}

async function preparePrograms(): Promise<void> {
  try {
    applyDebianCache(await prepareDebianCache());
  } catch (error) {
    // Where the packages cannot be unpacked, the machine's own programs may do.
    if (!(error instanceof SetupError)) throw error;
    printFailure(error);
  }
}

/** Aborts at the first signal; a second one ends the process at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(ExitCode.interrupted);
      tell(`${signal}: removing what was built; once more leaves it as it is`);
      controller.abort(new Error(`interrupted by ${signal}`));
    });
  }
  return controller.signal;
}

/** Of a bench, or of parseArgs of node:util. */
function isUsageError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return error instanceof RangeError || code.startsWith('ERR_PARSE_ARGS');
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

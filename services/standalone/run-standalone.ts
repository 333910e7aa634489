import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ConfigError } from '@nexodus/config';
import { type Part, runParts } from '@nexodus/lifecycle';
import { serviceVersion } from '@nexodus/service-process';
import { createLogger, startTelemetry } from '@nexodus/telemetry';
import { banner } from './banner.ts';
import { loadStandaloneSettings, type StandaloneSettings } from './settings.ts';
import { type RunningStandalone, startStandalone } from './standalone.ts';

/** What the command line says. */
interface Arguments {
  config: string | undefined;
  'reset-demo-password': boolean;
}

const defaultDataDir = '.nexodus';

/**
 * The whole life of a standalone service: reads `--config FILE` (else NEXODUS_CONFIG, else nexodus.yaml in the data
 * directory) and the environment, starts, says what there is, serves until SIGINT or SIGTERM, and stops in order. The
 * process ends with 2 for unusable settings and 1 for a start or a service that failed, each said in one line.
 */
export async function runStandalone(): Promise<void> {
  try {
    const values = readArguments();
    const dataDir = resolve(process.env['NEXODUS_DATA_DIR'] ?? defaultDataDir);
    const settings = loadStandaloneSettings(configFile(values, dataDir), process.env);
    await serve(settings, dataDir, values['reset-demo-password']);
  } catch (error) {
    fail(error);
  }
}

function readArguments(): Arguments {
  const options = {
    config: { type: 'string' },
    'reset-demo-password': { type: 'boolean', default: false },
  } as const;
  try {
    const { values } = parseArgs({ options });
    return { config: values.config, 'reset-demo-password': values['reset-demo-password'] };
  } catch (error) {
    throw new ConfigError([error instanceof Error ? error.message : String(error)]);
  }
}

function configFile({ config }: Arguments, dataDir: string): string | undefined {
  const named = config ?? process.env['NEXODUS_CONFIG'];
  const inside = join(dataDir, 'nexodus.yaml');
  return named ?? (existsSync(inside) ? inside : undefined);
}

async function serve(
  settings: StandaloneSettings,
  dataDir: string,
  resetsDemoPassword: boolean,
): Promise<void> {
  const logger = createLogger({ name: 'standalone', level: settings.log_level });
  const telemetry = await startTelemetry({
    serviceName: 'nexodus-standalone',
    serviceVersion,
    otlpEndpoint: settings.otlp_endpoint,
  });
  let running: RunningStandalone | undefined;
  const service: Part = {
    name: 'standalone',
    start: async () => {
      running = await startStandalone({
        settings,
        dataDir,
        logger,
        handleMetrics: telemetry.handleMetrics,
        isTerminal: process.stdout.isTTY,
        resetsDemoPassword,
        onProgress,
        onFailure: (error) => {
          fail(error);
          process.kill(process.pid, 'SIGTERM');
        },
      });
    },
    stop: async () => running?.stop(),
  };
  const flushing: Part = {
    name: 'telemetry',
    start: () => Promise.resolve(),
    stop: () => telemetry.stop(),
  };
  await runParts([flushing, service], {
    ready: () => {
      if (running === undefined) return;
      if (running.facts.isOpenToOthers && running.facts.isBootstrapEnabled) {
        logger.warn({}, 'the bootstrap account is enabled while others can reach the service');
      }
      process.stdout.write(`${banner(running.facts)}\n`);
    },
  });
  process.stdout.write('stopped\n');
}

/** Times count from the start of the process. */
function onProgress(done: string): void {
  process.stdout.write(`${(performance.now() / 1_000).toFixed(1).padStart(6)} s  ${done}\n`);
}

function fail(error: unknown): void {
  const text = error instanceof Error ? error.message : String(error);
  for (const line of text.split('\n')) process.stderr.write(`nexodus: ${line}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}

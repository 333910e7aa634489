import { parseArgs } from 'node:util';
import { systemClock } from '@nexodus/clock';
import { ConfigError, loadConfig } from '@nexodus/config';
import { runParts } from '@nexodus/lifecycle';
import type { ClientTls } from '@nexodus/rpc';
import { createLogger, type Logger, startTelemetry } from '@nexodus/telemetry';
import type { z } from 'zod';
import {
  internalClientTls,
  internalServerTls,
  type processSettings,
  type ProcessSettings,
} from './process-settings.ts';
import { healthPart, internalServerPart } from './serve-modules.ts';
import type { ServiceModule } from './service-module.ts';

/** Version of all services: they are released together. */
export const serviceVersion = '0.1.0';

/** What a module is built from besides its settings. */
export interface ServiceFrame {
  clock: typeof systemClock;
  logger: Logger;
  /** What to show to, and demand of, another service. */
  readonly tlsTowards: (service: string) => ClientTls;
}

/** A service process. */
export interface ServiceProcess<T extends z.ZodObject> {
  /** Name of the service, such as "ipam". */
  name: string;
  /** All its settings: `processSettings` extended with its own. */
  settings: T;
  /**
   * Builds the module; nothing is started by it. It reads what settings name before it opens anything, so that nothing
   * stays open when it throws.
   */
  readonly build: (
    settings: z.output<T>,
    frame: ServiceFrame,
  ) => ServiceModule | Promise<ServiceModule>;
}

/** Variables with the prefix of settings that are none. */
const reservedVariables = [
  'NEXODUS_CONFIG',
  'NEXODUS_DATA_DIR',
  'NEXODUS_CACHE_DIR',
  'NEXODUS_TEST_KERNEL_IMAGE',
  'NEXODUS_TEST_KERNEL_MODULES',
];

/**
 * The whole life of a service process: reads `--config FILE` (or NEXODUS_CONFIG) and the environment, starts telemetry,
 * the module's parts, the internal server and health, serves until SIGINT or SIGTERM, and stops in order. Ends the
 * process with 2 for unusable settings and 1 for a start that failed, each said in one line.
 */
export async function runService<T extends typeof processSettings>(
  service: ServiceProcess<T>,
): Promise<void> {
  try {
    await serve(service);
  } catch (error) {
    const isConfig = error instanceof ConfigError;
    process.stderr.write(
      `nexodus ${service.name}: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = isConfig ? 2 : 1;
  }
}

async function serve<T extends typeof processSettings>({
  name,
  settings: schema,
  build,
}: ServiceProcess<T>): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  const file = values.config ?? process.env['NEXODUS_CONFIG'];
  const settings = loadConfig(schema, {
    file,
    env: process.env,
    envPrefix: 'NEXODUS',
    reservedVariables,
  });
  const common: ProcessSettings = settings;
  const logger = createLogger({ name, level: common.log_level });
  const tls = internalServerTls(common.internal);
  const telemetry = await startTelemetry({
    serviceName: `nexodus-${name}`,
    serviceVersion,
    otlpEndpoint: common.otlp_endpoint,
  });
  const tlsTowards = (other: string): ClientTls => internalClientTls(common.internal, other);
  let module: ServiceModule;
  try {
    module = await build(settings, { clock: systemClock, logger, tlsTowards });
  } catch (error) {
    await telemetry.stop();
    throw error;
  }
  const { listen: address, callers } = common.internal;
  const parts = [
    { name: 'telemetry', start: () => Promise.resolve(), stop: () => telemetry.stop() },
    ...module.parts,
    internalServerPart([module], {
      address,
      tls,
      callers,
      logger,
    }),
    healthPart([module], { listen: common.metrics.listen, handleMetrics: telemetry.handleMetrics }),
  ];
  await runParts(parts, {
    report: ({ part, state }) => logger.debug({ part }, `part ${state}`),
    ready: () => logger.info({ internal: address }, 'service ready'),
  });
}

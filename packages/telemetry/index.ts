export { startHealthServer } from './health-server.ts';
export type { HealthServerOptions, RunningHealthServer } from './health-server.ts';
export { createLogger, silentLogger } from './logger.ts';
export type { LogFields, Logger, LoggerOptions, LogLevel } from './logger.ts';
export { startTelemetry } from './telemetry.ts';
export type { RequestHandler, RunningTelemetry, TelemetryOptions } from './telemetry-options.ts';

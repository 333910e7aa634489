import type { RunningTelemetry, TelemetryOptions } from './telemetry-options.ts';

/**
 * Starts traces and metrics for this process: instruments and spans made through @opentelemetry/api from now on are
 * recorded. Once for each process.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<RunningTelemetry> {
  const { startSdk } = await import('./sdk.ts');
  return startSdk(options);
}

import { startTelemetry } from '@nexodus/telemetry';
import { AGENT_VERSION } from '../nexd/agent-version.ts';

/** Variables by which OpenTelemetry is asked for traces (OpenTelemetry environment variable specification). */
const ENDPOINT_VARIABLES = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'];

/** Runs work with telemetry where the environment asks for it; spans are flushed before it resolves. */
export async function withTelemetry<T>(serviceName: string, work: () => Promise<T>): Promise<T> {
  const otlpEndpoint = ENDPOINT_VARIABLES.map((name) => process.env[name]).find(
    (value) => value !== undefined && value !== '',
  );
  const isDisabled = process.env.OTEL_SDK_DISABLED === 'true';
  if (otlpEndpoint === undefined || isDisabled) return work();
  const telemetry = await startTelemetry({
    serviceName,
    serviceVersion: AGENT_VERSION,
    otlpEndpoint,
  });
  try {
    return await work();
  } finally {
    await telemetry.stop();
  }
}

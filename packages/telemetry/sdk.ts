import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor, type SpanProcessor } from '@opentelemetry/sdk-trace';
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions';
import type { RequestHandler, RunningTelemetry, TelemetryOptions } from './telemetry-options.ts';

/** Starts the SDK; loaded only by processes that want telemetry, because it is large. */
export function startSdk(options: TelemetryOptions): RunningTelemetry {
  const { serviceName, serviceVersion, otlpEndpoint } = options;
  const prometheus = new PrometheusExporter({ preventServerStart: true });
  const spanProcessors: SpanProcessor[] = [...(options.spanProcessors ?? [])];
  if (otlpEndpoint !== undefined) {
    spanProcessors.push(
      new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: otlpEndpoint }) }),
    );
  }
  const sdk = new NodeSDK({
    autoDetectResources: false,
    instrumentations: [],
    logRecordProcessors: [],
    metricReaders: [prometheus],
    resource: resourceFromAttributes({
      [ATTR_SERVICE_NAME]: serviceName,
      [ATTR_SERVICE_VERSION]: serviceVersion,
    }),
    spanProcessors,
  });
  sdk.start();
  const handleMetrics: RequestHandler = (request, response) =>
    prometheus.getMetricsRequestHandler(request, response);
  return { handleMetrics, stop: () => sdk.shutdown() };
}

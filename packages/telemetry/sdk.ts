import { createRequire } from 'node:module';
import * as api from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor, type SpanProcessor } from '@opentelemetry/sdk-trace';
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions';
import type { RequestHandler, RunningTelemetry, TelemetryOptions } from './telemetry-options.ts';

/**
 * @opentelemetry/api as CommonJS libraries load it: another instance than ours, whose tracers from before the start would
 * record nothing. Its provider is remembered before the start and pointed to the real one afterwards.
 */
const commonJsApi: typeof api = createRequire(import.meta.url)('@opentelemetry/api');

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
  const early = commonJsApi.trace.getTracerProvider();
  sdk.start();
  if (early instanceof commonJsApi.ProxyTracerProvider)
    early.setDelegate(api.trace.getTracerProvider());
  const handleMetrics: RequestHandler = (request, response) =>
    prometheus.getMetricsRequestHandler(request, response);
  // Spans that no collector takes at the end are lost, which is no failure of the process.
  return { handleMetrics, stop: () => sdk.shutdown().catch(() => {}) };
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SpanProcessor } from '@opentelemetry/sdk-trace';

/** Answers one HTTP request. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** What telemetry a process has. */
export interface TelemetryOptions {
  /** Name in traces and metrics, such as "nexodus-ipam". */
  serviceName: string;
  /** Version in traces and metrics. */
  serviceVersion: string;
  /** OTLP/gRPC endpoint for traces, such as "http://127.0.0.1:4317"; absent for none. */
  otlpEndpoint?: string;
  /** Where spans go besides, such as an in-memory exporter. */
  spanProcessors?: readonly SpanProcessor[];
}

/** Telemetry that runs. */
export interface RunningTelemetry {
  /** Answers a scrape in Prometheus' text format. */
  readonly handleMetrics: RequestHandler;
  /** Flushes and ends. */
  stop(): Promise<void>;
}

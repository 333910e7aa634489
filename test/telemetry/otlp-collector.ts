/**
 * A collector that keeps spans in memory: what processes export over OTLP/gRPC can be asserted on.
 */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { parse } from 'protobufjs';

/** A span that arrived. */
export interface CollectedSpan {
  /** In hex, as everywhere else. */
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  /** service.name of the process. */
  readonly service: string;
}

/** A collector that listens on loopback. */
export interface OtlpCollector {
  /** Port of 127.0.0.1. */
  readonly port: number;
  /** What arrived so far. */
  readonly spans: readonly CollectedSpan[];
  stop(): void;
}

/** The part of opentelemetry/proto/collector/trace/v1 that is read; other fields are passed over. */
const schema = parse(`
  syntax = "proto3";
  message AnyValue { string string_value = 1; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; }
  message ScopeSpans { repeated Span spans = 2; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
  message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
`).root.lookupType('ExportTraceServiceRequest');

interface Exported {
  resourceSpans?: {
    resource?: { attributes?: { key: string; value?: { stringValue?: string } }[] };
    scopeSpans?: {
      spans?: { traceId: string; spanId: string; parentSpanId?: string; name: string }[];
    }[];
  }[];
}

/** Starts a collector on a free port. */
export async function startOtlpCollector(): Promise<OtlpCollector> {
  const spans: CollectedSpan[] = [];
  const server = new Server();
  server.addService(
    {
      export: {
        path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
        requestStream: false,
        responseStream: false,
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    {
      export: (call: { request: Buffer }, answer: (error: null, response: Buffer) => void) => {
        spans.push(...readSpans(call.request));
        answer(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { port, spans, stop: () => server.forceShutdown() };
}

function readSpans(request: Buffer): CollectedSpan[] {
  // The shape follows from the schema above: bytes as base64, absent fields left out.
  const exported = schema.toObject(schema.decode(request), { bytes: String }) as Exported;
  return (exported.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const name = resource?.attributes?.find(({ key }) => key === 'service.name');
    const service = name?.value?.stringValue ?? '';
    return (scopeSpans ?? []).flatMap((scope) =>
      (scope.spans ?? []).map((span) => ({
        traceId: Buffer.from(span.traceId, 'base64').toString('hex'),
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        name: span.name,
        service,
      })),
    );
  });
}

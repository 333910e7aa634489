import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  TracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createInProcessMessageBus } from './in-process-message-bus.ts';

const exporter = new InMemorySpanExporter();

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
  );
});

afterAll(() => {
  context.disable();
  propagation.disable();
  trace.disable();
});

test('a message carries the trace it was published in, and is handled in a consumer span of it', async () => {
  const bus = createInProcessMessageBus();
  const handled = Promise.withResolvers<string | undefined>();
  bus.subscribe('vpc.*', ({ headers }) => {
    handled.resolve(`${headers['traceparent']} ${trace.getActiveSpan()?.spanContext().traceId}`);
  });
  const tracer = trace.getTracer('test');
  const parent = tracer.startActiveSpan('change', (span) => {
    bus.publish('vpc.7', new Uint8Array());
    span.end();
    return span.spanContext();
  });
  expect(await handled.promise).toBe(`00-${parent.traceId}-${parent.spanId}-01 ${parent.traceId}`);
  await bus.close();
  const [, consumer] = exporter.getFinishedSpans();
  expect(consumer).toMatchObject({ name: 'process vpc.*', kind: SpanKind.CONSUMER });
  expect(consumer?.parentSpanContext?.spanId).toBe(parent.spanId);
});

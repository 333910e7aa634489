import { createRequire } from 'node:module';
import type * as api from '@opentelemetry/api';
import { context, metrics, propagation, trace } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { expect, test } from 'vitest';
import { startHealthServer } from './health-server.ts';
import { createLogger } from './logger.ts';
import { startTelemetry } from './telemetry.ts';

/** What a CommonJS library has: its own instance of the API, and a tracer from before the start. */
const libraryApi: typeof api = createRequire(import.meta.url)('@opentelemetry/api');
const libraryTracer = libraryApi.trace.getTracer('library');

test('spans, metrics, log lines and health of one process', async () => {
  const exporter = new InMemorySpanExporter();
  const telemetry = await startTelemetry({
    serviceName: 'nexodus-test',
    serviceVersion: '0',
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  });
  let ready = false;
  const health = await startHealthServer({
    host: '127.0.0.1',
    port: 0,
    handleMetrics: telemetry.handleMetrics,
    checkReady: () =>
      ready ? Promise.resolve() : Promise.reject(new Error('the database is out of reach')),
  });
  const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${health.port}${path}`);
  try {
    metrics.getMeter('test').createCounter('nexodus_test_events').add(3);
    const lines: string[] = [];
    const logger = createLogger({
      name: 'test',
      destination: { write: (line: string) => lines.push(line) },
    });
    const carrier: Record<string, string> = {};
    const traceId = trace.getTracer('test').startActiveSpan('work', (span) => {
      logger.info({ request: { authorization: 'Bearer abc' } }, 'worked');
      propagation.inject(context.active(), carrier);
      libraryTracer.startSpan('of a library').end();
      span.end();
      return span.spanContext().traceId;
    });
    expect(exporter.getFinishedSpans().map((span) => span.name)).toEqual(['of a library', 'work']);
    expect(carrier['traceparent']).toContain(traceId);
    expect(lines[0]).toContain(traceId);
    expect(lines[0]).not.toContain('abc');
    expect(await (await get('/metrics')).text()).toMatch(/nexodus_test_events_total\{.*\} 3/);
    expect((await get('/healthz')).status).toBe(200);
    const unready = await get('/readyz');
    expect([unready.status, await unready.text()]).toEqual([503, 'the database is out of reach\n']);
    ready = true;
    expect((await get('/readyz')).status).toBe(200);
    expect((await get('/other')).status).toBe(404);
  } finally {
    await health.stop();
    await telemetry.stop();
  }
});

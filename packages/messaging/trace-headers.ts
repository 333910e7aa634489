import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';

import type { BusHandler, BusMessage } from './message-bus.ts';

/** The headers as published, in lower case, with the active trace context (W3C Trace Context, section 3). */
export function withTraceContext(
  headers: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const carrier: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) carrier[name.toLowerCase()] = value;
  propagation.inject(context.active(), carrier);
  return carrier;
}

/** Runs `handler` in a consumer span below the context the message carries. */
export async function deliverInTrace(
  pattern: string,
  message: BusMessage,
  handler: BusHandler,
): Promise<void> {
  const parent = propagation.extract(ROOT_CONTEXT, message.headers);
  const tracer = trace.getTracer('@nexodus/messaging');
  const attributes = {
    'messaging.operation.type': 'process',
    'messaging.destination.name': message.subject,
    'messaging.destination.template': pattern,
  };
  const options = { kind: SpanKind.CONSUMER, attributes };
  await tracer.startActiveSpan(`process ${pattern}`, options, parent, async (span) => {
    try {
      await handler(message);
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

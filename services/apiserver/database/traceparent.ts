import { context, propagation } from '@opentelemetry/api';

/** The active trace as a W3C traceparent, to be kept with what is done later; empty for none. */
export function activeTraceparent(): string {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return carrier['traceparent'] ?? '';
}

/** Goes on with a trace that was kept. */
export function underTraceparent<T>(traceparent: string, work: () => T): T {
  const carrier = traceparent === '' ? {} : { traceparent };
  return context.with(propagation.extract(context.active(), carrier), work);
}

import { context, propagation, ROOT_CONTEXT } from '@opentelemetry/api';

/** Runs work below the span that a W3C traceparent names; outside any trace for an empty one. */
export function withinTrace<T>(traceparent: string, work: () => T): T {
  const parent = propagation.extract(ROOT_CONTEXT, traceparent === '' ? {} : { traceparent });
  return context.with(parent, work);
}

/** Runs work that outlives who began it outside any trace. */
export function outsideTraces<T>(work: () => T): T {
  return context.with(ROOT_CONTEXT, work);
}

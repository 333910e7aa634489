import type { StunCounts } from '@nexodus/stun-server';
import type { Meter } from '@opentelemetry/api';

/** Verdicts that answer nothing, by the reason that metrics give. */
const IGNORED = {
  badSource: 'source',
  notStun: 'not-stun',
  malformed: 'malformed',
  notARequest: 'not-a-request',
  otherMethod: 'method',
} as const satisfies Partial<Record<keyof StunCounts, string>>;

/** Datagrams that were not acceptable requests. */
export function ignoredOf(counts: StunCounts): number {
  return (Object.keys(IGNORED) as (keyof typeof IGNORED)[]).reduce(
    (sum, verdict) => sum + counts[verdict],
    0,
  );
}

/** Makes the instruments that read what the server counted; `counts` gives undefined before its start. */
export function observeStun(meter: Meter, counts: () => StunCounts | undefined): void {
  meter
    .createObservableCounter('nexodus.stun.datagrams', {
      description: 'Datagrams that arrived, by outcome and, for ignored ones, by reason.',
    })
    .addCallback((observer) => {
      const now = counts();
      if (now === undefined) return;
      for (const outcome of ['answered', 'refused', 'limited'] as const) {
        observer.observe(now[outcome], { outcome });
      }
      for (const [verdict, reason] of Object.entries(IGNORED)) {
        // A key of the table above.
        observer.observe(now[verdict as keyof typeof IGNORED], { outcome: 'ignored', reason });
      }
    });
  meter
    .createObservableCounter('nexodus.stun.unsent', {
      description: 'Answers that could not be sent.',
    })
    .addCallback((observer) => observer.observe(counts()?.unsent ?? 0));
}

import type { Meter } from '@opentelemetry/api';
import type { Verdict } from './core/binding-responder.ts';

/** What became of the datagrams since the start. */
export type StunCounts = Readonly<Record<Verdict['kind'], number>>;

/** What the STUN server counts. */
export interface StunMetrics {
  readonly counts: StunCounts;
  /** A datagram got its verdict. */
  decided(verdict: Verdict): void;
  /** An answer could not be sent. */
  unsent(): void;
}

/** Makes the counters and the instruments that read them: counting a datagram costs an addition. */
export function createStunMetrics(meter: Meter): StunMetrics {
  const counts = { answered: 0, refused: 0, ignored: 0, limited: 0 };
  const ignoredFor = new Map<string, number>();
  let unsent = 0;
  meter
    .createObservableCounter('nexodus.stun.datagrams', {
      description: 'Datagrams that arrived, by outcome and, for ignored ones, by reason.',
    })
    .addCallback((observer) => {
      const { ignored: _byReason, ...others } = counts;
      for (const [outcome, count] of Object.entries(others)) observer.observe(count, { outcome });
      for (const [reason, count] of ignoredFor) {
        observer.observe(count, { outcome: 'ignored', reason });
      }
    });
  meter
    .createObservableCounter('nexodus.stun.unsent', {
      description: 'Answers that could not be sent.',
    })
    .addCallback((observer) => observer.observe(unsent));
  return {
    counts,
    decided: (verdict) => {
      counts[verdict.kind] += 1;
      if (verdict.kind !== 'ignored') return;
      ignoredFor.set(verdict.reason, (ignoredFor.get(verdict.reason) ?? 0) + 1);
    },
    unsent: () => {
      unsent += 1;
    },
  };
}

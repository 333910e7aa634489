import type { Meter } from '@opentelemetry/api';
import type { SignalPost } from './signal-post.ts';

/** Makes the instrument that reads what became of signals. */
export function observeSignals(meter: Meter, counts: SignalPost['counts']): void {
  meter
    .createObservableCounter('nexodus.relay.signals', {
      description: 'Signals between devices that came over attachments, by outcome.',
    })
    .addCallback((observer) => {
      for (const [outcome, count] of Object.entries(counts)) observer.observe(count, { outcome });
    });
}

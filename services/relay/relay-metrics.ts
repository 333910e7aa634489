import type { Meter } from '@opentelemetry/api';
import type { Capacity } from './core/capacity.ts';

/** Makes the gauges that read the capacity and use of the relay. */
export function observeRelay(meter: Meter, current: () => Capacity): void {
  meter
    .createObservableGauge('nexodus.relay.capacity', {
      description: 'Pair sessions that the relay can carry at most.',
    })
    .addCallback((observer) => observer.observe(current().capacity));
  meter
    .createObservableGauge('nexodus.relay.sessions', {
      description: 'Pair sessions that the relay carries.',
    })
    .addCallback((observer) => observer.observe(current().sessions));
}

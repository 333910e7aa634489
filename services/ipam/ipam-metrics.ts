import type { Meter } from '@opentelemetry/api';
import type { ReserveOutcome } from './address-book.ts';
import type { Expired } from './lease-store.ts';

/** What ipam counts. */
export interface IpamMetrics {
  /** A reservation was answered. */
  reserved(outcome: ReserveOutcome['outcome']): void;
  /** Addresses were given back. */
  released(): void;
  /** Ended leases and quarantines were removed. */
  expired(counts: Expired): void;
}

/** Makes the instruments. */
export function createIpamMetrics(meter: Meter): IpamMetrics {
  const reservations = meter.createCounter('nexodus.ipam.reservations', {
    description: 'Answered reservations, by outcome.',
  });
  const releases = meter.createCounter('nexodus.ipam.releases', {
    description: 'Owners whose addresses were given back.',
  });
  const expiries = meter.createCounter('nexodus.ipam.expiries', {
    description: 'Leases and quarantines that ended and were removed, by kind.',
  });
  return {
    reserved: (outcome) => reservations.add(1, { outcome }),
    released: () => releases.add(1),
    expired: ({ leases, quarantines }) => {
      expiries.add(leases, { kind: 'lease' });
      expiries.add(quarantines, { kind: 'quarantine' });
    },
  };
}

import type { Meter } from '@opentelemetry/api';

/** What a stream was told: a whole view, a change of it, that nothing concerns it, soft state of peers or of relays. */
export type SentKind = 'snapshot' | 'delta' | 'bookmark' | 'peer-states' | 'reachability';

/** What the network map counts. */
export interface NetworkMapMetrics {
  /** A stream began (1) or ended (-1). */
  streams(change: 1 | -1): void;
  /** A queue was too long and its reader gets a snapshot instead. */
  overflow(queue: 'stream' | 'watch'): void;
  /** Something was handed to the transport of a stream. */
  sent(kind: SentKind): void;
  /** A delta was handed to the transport this long after this replica saw its oldest change. */
  latency(durationMs: number): void;
  /** Policy was asked for an interval. */
  compiled(outcome: 'answered' | 'unavailable' | 'compacted' | 'failed'): void;
}

/** Makes the instruments. */
export function createNetworkMapMetrics(meter: Meter): NetworkMapMetrics {
  const streams = meter.createUpDownCounter('nexodus.network_map.streams', {
    description: 'Agent streams that are open on this replica.',
  });
  const overflows = meter.createCounter('nexodus.network_map.overflows', {
    description: 'Queues that were too long and gave way to a snapshot, by kind.',
  });
  const sent = meter.createCounter('nexodus.network_map.sent', {
    description: 'What streams were told, by kind.',
  });
  const latency = meter.createHistogram('nexodus.network_map.delta_latency', {
    description: 'Time from seeing a change in the log to handing its delta to a stream.',
    unit: 'ms',
  });
  const compiles = meter.createCounter('nexodus.network_map.compiles', {
    description: 'Intervals that policy was asked for, by outcome.',
  });
  return {
    streams: (change) => streams.add(change),
    overflow: (queue) => overflows.add(1, { queue }),
    sent: (kind) => sent.add(1, { kind }),
    latency: (durationMs) => latency.record(durationMs),
    compiled: (outcome) => compiles.add(1, { outcome }),
  };
}

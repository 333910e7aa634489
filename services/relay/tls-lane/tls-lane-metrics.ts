import type { Meter } from '@opentelemetry/api';

/**
 * Why a connection was not taken. `request`: not an upgrade to DERP; `full`: no room; `draining`: the relay is about to
 * stop; `handshake`: the client did not speak the protocol or prove its key; `timeout`: it took too long; `left`: it went
 * before it was admitted; `not-admitted`: no enrolled device has the key, or it was disconnected meanwhile; `failed`:
 * admission could not be decided.
 */
export type RefusalReason =
  | 'request'
  | 'full'
  | 'draining'
  | 'handshake'
  | 'timeout'
  | 'left'
  | 'not-admitted'
  | 'failed';

/**
 * Why a client's connection ended. `left`: it went, or the network did; `replaced`: the device has connected again;
 * `disconnected`: its key was revoked; `protocol`: it did not speak the protocol; `silent`: it answered no ping;
 * `stalled`: it read nothing; `drained`: the relay stopped; `fault`: an error of ours.
 */
export type DepartureReason =
  | 'left'
  | 'replaced'
  | 'disconnected'
  | 'protocol'
  | 'silent'
  | 'stalled'
  | 'drained'
  | 'fault';

/**
 * What became of a packet. `refused`: the pair has no session; `limit`: over the rate of its session; `not-here`: its
 * destination is not connected; `dropped`: it waited too long for a slow destination.
 */
export type PacketOutcome = 'forwarded' | 'refused' | 'limit' | 'not-here' | 'dropped';

/** What the TLS lane counts. */
export interface TlsLaneCounts {
  readonly admitted: number;
  readonly refused: Readonly<Record<RefusalReason, number>>;
  readonly departed: Readonly<Record<DepartureReason, number>>;
  /** Packets by outcome; one that was dropped later is counted as forwarded, too. */
  readonly packets: Readonly<Record<PacketOutcome, number>>;
  /** Bytes of the forwarded datagrams. */
  readonly forwardedBytes: number;
}

/** Counts of the TLS lane; counting costs an addition. */
export interface TlsLaneMetrics {
  readonly counts: TlsLaneCounts;
  /** A client was admitted. */
  admitted(): void;
  /** A connection was not taken. */
  refused(reason: RefusalReason): void;
  /** A client's connection ended. */
  departed(reason: DepartureReason): void;
  /** Packets met their outcome. `bytes` of forwarded ones only. */
  packets(outcome: PacketOutcome, packets: number, bytes?: number): void;
}

/** Makes the counters and the instruments that read them. */
export function createTlsLaneMetrics(meter: Meter): TlsLaneMetrics {
  const counts = zeroCounts();
  observe(meter, counts);
  return {
    counts,
    admitted: () => {
      counts.admitted += 1;
    },
    refused: (reason) => {
      counts.refused[reason] += 1;
    },
    departed: (reason) => {
      counts.departed[reason] += 1;
    },
    packets: (outcome, packets, bytes = 0) => {
      counts.packets[outcome] += packets;
      counts.forwardedBytes += bytes;
    },
  };
}

function zeroCounts() {
  return {
    admitted: 0,
    refused: {
      request: 0,
      full: 0,
      draining: 0,
      handshake: 0,
      timeout: 0,
      left: 0,
      'not-admitted': 0,
      failed: 0,
    },
    departed: {
      left: 0,
      replaced: 0,
      disconnected: 0,
      protocol: 0,
      silent: 0,
      stalled: 0,
      drained: 0,
      fault: 0,
    },
    packets: { forwarded: 0, refused: 0, limit: 0, 'not-here': 0, dropped: 0 },
    forwardedBytes: 0,
  };
}

function observe(meter: Meter, counts: TlsLaneCounts): void {
  observeByLabel(meter, 'nexodus.relay.tls.refusals', {
    description: 'Connections that the TLS lane did not take, by reason.',
    label: 'reason',
    counts: counts.refused,
  });
  observeByLabel(meter, 'nexodus.relay.tls.departures', {
    description: 'Connections of the TLS lane that ended, by reason.',
    label: 'reason',
    counts: counts.departed,
  });
  observeByLabel(meter, 'nexodus.relay.tls.packets', {
    description: 'Packets that came over the TLS lane, by outcome.',
    label: 'outcome',
    counts: counts.packets,
  });
  meter
    .createObservableCounter('nexodus.relay.tls.admissions', {
      description: 'Connections of devices that the TLS lane took.',
    })
    .addCallback((observer) => observer.observe(counts.admitted));
  meter
    .createObservableCounter('nexodus.relay.tls.forwarded', {
      description: 'Bytes of datagrams that the TLS lane forwarded.',
      unit: 'By',
    })
    .addCallback((observer) => observer.observe(counts.forwardedBytes));
}

function observeByLabel(
  meter: Meter,
  name: string,
  told: { description: string; label: string; counts: Readonly<Record<string, number>> },
): void {
  meter.createObservableCounter(name, { description: told.description }).addCallback((observer) => {
    for (const [value, count] of Object.entries(told.counts)) {
      observer.observe(count, { [told.label]: value });
    }
  });
}

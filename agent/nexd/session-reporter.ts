import type { Clock } from '@nexodus/clock';
import type { View } from '@nexodus/network-map';
import type { ControlSession } from '../session/control-session.ts';
import type { RelayWhereabouts } from '../relay/index.ts';
import type { MachineReport } from './device-machine.ts';

/** Tells the service what is in force, where this device may be reached and how it reaches its peers: only what is new. */
export interface SessionReporter {
  /** A stream is live: what was acknowledged before it does not count on it. */
  begin(): void;
  /** Acknowledges a view that was put in force, with what of it was not; for a live stream only. */
  acknowledge(view: View, problem: string): void;
  report(report: Pick<MachineReport, 'endpoints' | 'paths'>): void;
  /** Tells the service where this device can be met. */
  reportRelays(relays: RelayWhereabouts): void;
}

/** Paths are reported when they change and after this time (agent.proto, PathReport). */
const PATHS_INTERVAL_MS = 60_000;

/** How a reporter words things. */
export interface SessionReporterOptions {
  /** Peers shall not be told where this device may be reached directly. */
  readonly hidesEndpoints?: boolean;
}

/** Makes the reporter of one session. */
export function createSessionReporter(
  session: Pick<ControlSession, 'tell'>,
  clock: Clock,
  { hidesEndpoints = false }: SessionReporterOptions = {},
): SessionReporter {
  let acknowledged = '';
  let endpointsSaid = '';
  let relaysSaid = '';
  let pathsSaid = { text: '', atMs: -Infinity };

  const tellEndpoints = ({ endpoints }: Pick<MachineReport, 'endpoints'>): void => {
    const text = endpoints.map(({ address }) => address).join(' ');
    if (text === endpointsSaid) return;
    endpointsSaid = text;
    if (!hidesEndpoints) session.tell({ kind: 'endpoints', endpoints });
    // Other addresses mean another network: what kept the service out of reach may be gone. Any other event of the
    // machine says nothing of that, and must not undo the pause that a service in trouble relies on.
    if (text !== '') session.tell({ kind: 'network-changed' });
  };

  const tellPaths = ({ paths }: Pick<MachineReport, 'paths'>): void => {
    const nowMs = clock.monotonicMs();
    const text = paths
      .map((path) => `${path.deviceId} ${path.endpoint} ${path.relayId} ${path.reason}`)
      .join('\n');
    const isDue = nowMs - pathsSaid.atMs >= PATHS_INTERVAL_MS;
    if (paths.length === 0 || (text === pathsSaid.text && !isDue)) return;
    pathsSaid = { text, atMs: nowMs };
    session.tell({ kind: 'paths', paths });
  };

  return {
    begin: () => {
      acknowledged = '';
    },
    acknowledge: ({ revision, digest: held }, problem) => {
      const digest = held.toBytes();
      const text = `${revision} ${Buffer.from(digest).toString('hex')} ${problem}`;
      if (text === acknowledged) return;
      acknowledged = text;
      session.tell({ kind: 'applied', revision, digest, problem });
    },
    report: (report) => {
      tellEndpoints(report);
      tellPaths(report);
    },
    reportRelays: ({ homeRelayId, relayLatencies }) => {
      const latencies = relayLatencies.map((to) => `${to.relayId} ${to.roundTripUs}`);
      const text = [homeRelayId, ...latencies].join('\n');
      if (text === relaysSaid) return;
      relaysSaid = text;
      session.tell({ kind: 'relays', relays: { homeRelayId, relayLatencies } });
    },
  };
}

import type { Clock } from '@nexodus/clock';
import type { ControlSession } from '../session/control-session.ts';
import type { MachineReport } from './device-machine.ts';

/** Tells the service where this device may be reached and how it reaches its peers, only when there is news. */
export interface SessionReporter {
  report(report: Pick<MachineReport, 'endpoints' | 'paths'>): void;
}

/** Paths are reported when they change and after this time (agent.proto, PathReport). */
const PATHS_INTERVAL_MS = 60_000;

/** Makes the reporter of one session. */
export function createSessionReporter(
  session: Pick<ControlSession, 'tell'>,
  clock: Clock,
): SessionReporter {
  let endpointsSaid = '';
  let pathsSaid = { text: '', atMs: -Infinity };

  const tellEndpoints = ({ endpoints }: Pick<MachineReport, 'endpoints'>): void => {
    const text = endpoints.map(({ address }) => address).join(' ');
    if (text === endpointsSaid) return;
    endpointsSaid = text;
    session.tell({ kind: 'endpoints', endpoints });
    // Other addresses mean another network: what kept the service out of reach may be gone. Any other event of the
    // machine says nothing of that, and must not undo the pause that a service in trouble relies on.
    if (text !== '') session.tell({ kind: 'network-changed' });
  };

  const tellPaths = ({ paths }: Pick<MachineReport, 'paths'>): void => {
    const nowMs = clock.monotonicMs();
    const text = paths.map(({ deviceId, endpoint }) => `${deviceId} ${endpoint}`).join(' ');
    const isDue = nowMs - pathsSaid.atMs >= PATHS_INTERVAL_MS;
    if (paths.length === 0 || (text === pathsSaid.text && !isDue)) return;
    pathsSaid = { text, atMs: nowMs };
    session.tell({ kind: 'paths', paths });
  };

  return {
    report: (report) => {
      tellEndpoints(report);
      tellPaths(report);
    },
  };
}

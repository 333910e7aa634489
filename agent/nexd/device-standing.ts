import { DaemonState } from '@nexodus/contracts/nexd';
import { type RpcError, Status } from '@nexodus/rpc';
import { explainRpcError } from '../command/explain-rpc-error.ts';
import type { SessionEnd, SessionState } from '../session/core/session-state.ts';

/** What may be wrong with a device at work. */
export interface DeviceTrouble {
  /** Why the session ended for good. */
  readonly end: SessionEnd | undefined;
  /** Why there is no session, where there is none. */
  readonly failure: RpcError | undefined;
  /** What of the plan is not in force; empty: nothing. */
  readonly machineProblem: string;
  readonly arePinsUnsaved: boolean;
  /** Whether another session with the keys of this device took over. */
  readonly isSuperseded: boolean;
}

const endings: Readonly<Record<Exclude<SessionEnd, 'stopped'>, string>> = {
  superseded:
    'another nexd uses the keys of this device: stop one of the two, and give each machine keys of its own with `nexd down --forget`',
  'device-deleted':
    'this device was deleted: run `nexd down --forget`, then `nexd up` to join with new keys',
  'device-expired':
    'the key of this device expired: restart `nexd up` with a registration key or a login to renew it',
};

const SUPERSEDED =
  'another session with the keys of this device took over: this one comes back within a minute';

const PINS_UNSAVED =
  'the keys of new peers could not be kept on disk: after a restart other keys would pass for theirs. See the log';

/** One line: what is wrong and what to do, or empty. */
export function describeProblem(trouble: DeviceTrouble): string {
  const { end, failure, machineProblem, arePinsUnsaved, isSuperseded } = trouble;
  if (end !== undefined && end !== 'stopped') return endings[end];
  const problems = [
    machineProblem,
    arePinsUnsaved ? PINS_UNSAVED : '',
    isSuperseded ? SUPERSEDED : '',
    failure === undefined ? '' : describeOutage(failure),
  ];
  return problems.filter((line) => line !== '').join('; ');
}

/** Why the service has this device no more; undefined as long as it may have it. */
export function removalOf(
  end: SessionEnd | undefined,
): 'device-deleted' | 'device-expired' | undefined {
  return end === 'device-deleted' || end === 'device-expired' ? end : undefined;
}

/** The state that is shown of a device at work. */
export function daemonStateOf(
  end: SessionEnd | undefined,
  { hasView, sessionState }: { hasView: boolean; sessionState: SessionState['kind'] },
): DaemonState {
  if (removalOf(end) !== undefined) return DaemonState.REMOVED;
  if (!hasView) return DaemonState.STARTING;
  return sessionState === 'live' ? DaemonState.RUNNING : DaemonState.OFFLINE;
}

/** The transport's own words differ from attempt to attempt and are for the log. */
function describeOutage(failure: RpcError): string {
  if (failure.code === Status.UNAVAILABLE || failure.code === Status.DEADLINE_EXCEEDED) {
    return 'the service is out of reach: established tunnels stay up, changes arrive when it is back';
  }
  const { message, remedy } = explainRpcError(failure);
  return `the service refuses this device (${message}). ${remedy}`;
}

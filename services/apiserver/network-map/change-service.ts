import type { Clock } from '@nexodus/clock';
import type {
  ChangeServiceImplementation,
  VpcSnapshot,
  WatchVpcsResponse,
} from '@nexodus/contracts/event';
import { isUnavailable } from '@nexodus/database';
import { type ServiceIdentity, unavailable } from '@nexodus/rpc';
import { ChangeQueue } from '../core/network-map/change-queue.ts';
import type { ChangeLog } from '../database/change-log.ts';
import { Bell } from './bell.ts';
import type { LogFollower } from './log-follower.ts';
import type { NetworkMapMetrics } from './network-map-metrics.ts';

/** What the handlers need. */
export interface ChangeServiceOptions {
  readonly changeLog: Pick<ChangeLog, 'snapshot'>;
  readonly follower: Pick<LogFollower, 'listen' | 'vpcIds'>;
  readonly clock: Clock;
  readonly metrics: Pick<NetworkMapMetrics, 'overflow'>;
  /** Ends all streams. */
  readonly stopping: AbortSignal;
  /** Time between two heartbeats. */
  readonly heartbeatMs: number;
  /** Changes that may wait for one reader. */
  readonly maxWaiting: number;
}

type Event = NonNullable<WatchVpcsResponse['event']>;

/** The handlers of nexodus.event.v1.ChangeService; change.proto says what they promise. */
export function createChangeService(
  options: ChangeServiceOptions,
): ChangeServiceImplementation<{ identity: ServiceIdentity }> {
  return {
    watchVpcs: async function* watchVpcs(_request, { signal }) {
      for await (const event of watch(options, AbortSignal.any([signal, options.stopping]))) {
        yield { event };
      }
    },
  };
}

async function* watch(options: ChangeServiceOptions, signal: AbortSignal): AsyncGenerator<Event> {
  const { clock, follower, heartbeatMs, maxWaiting, metrics } = options;
  const queue = new ChangeQueue(maxWaiting);
  const bell = new Bell();
  const ring = (): void => bell.ring();
  const leave = follower.listen({
    begun: (vpcId) => {
      queue.reset(vpcId);
      ring();
    },
    changed: ({ change }) => {
      if (!queue.add(change)) metrics.overflow('watch');
      ring();
    },
    removed: (vpcId) => {
      queue.remove(vpcId);
      ring();
    },
  });
  for (const vpcId of follower.vpcIds()) queue.reset(vpcId);
  signal.addEventListener('abort', ring, { once: true });
  let heartbeatAtMs = clock.monotonicMs() + heartbeatMs;
  try {
    while (!signal.aborted) {
      const event = await nextEvent(queue, options);
      if (event !== undefined) yield event;
      const nowMs = clock.monotonicMs();
      if (nowMs >= heartbeatAtMs) {
        heartbeatAtMs = nowMs + heartbeatMs;
        yield { $case: 'heartbeat', value: {} };
      }
      if (event === undefined) await bell.wait(clock, heartbeatAtMs - nowMs);
    }
  } finally {
    signal.removeEventListener('abort', ring);
    leave();
  }
}

async function nextEvent(
  queue: ChangeQueue,
  { changeLog }: ChangeServiceOptions,
): Promise<Event | undefined> {
  for (let item = queue.take(); item !== undefined; item = queue.take()) {
    if (item.kind === 'change') return { $case: 'change', value: item.change };
    if (item.kind === 'removed') return { $case: 'removed', value: { vpcId: item.vpcId } };
    const snapshot = await readSnapshot(changeLog, item.vpcId);
    if (snapshot !== undefined && queue.begin(item.vpcId, snapshot.revision)) {
      return { $case: 'snapshot', value: snapshot };
    }
  }
  return undefined;
}

async function readSnapshot(
  changeLog: ChangeServiceOptions['changeLog'],
  vpcId: string,
): Promise<VpcSnapshot | undefined> {
  try {
    return await changeLog.snapshot(vpcId);
  } catch (cause) {
    throw isUnavailable(cause) ? unavailable('the database does not answer', { cause }) : cause;
  }
}

import type { Clock } from '@nexodus/clock';
import type { ChangeServiceDefinition } from '@nexodus/contracts/event';
import type { Part } from '@nexodus/lifecycle';
import type { RpcClient } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import type { FollowedVpcs } from './followed-vpcs.ts';

/** The stream of all VPCs' changes. */
export type VpcChanges = Pick<RpcClient<typeof ChangeServiceDefinition>, 'watchVpcs'>;

/** What the follower needs. */
export interface VpcFollowerOptions {
  readonly changes: VpcChanges;
  readonly vpcs: FollowedVpcs;
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer' | 'wait'>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** Whether the stream is up; told when that changes. */
  readonly onFollowing?: (isFollowing: boolean) => void;
}

/** A stream that is silent for this long is dead: heartbeats come every 10 s (change.proto), and two may be late. */
const silenceMs = 30_000;

/** Bounds of the wait before the stream is opened again; the first doubles with each failure in a row. */
const firstRetryMs = 100;
const longestRetryMs = 5_000;

/** A stream of this age has sent a snapshot of every VPC: one that it did not send is no more. */
const completeAfterMs = 60_000;

/**
 * Follows the change logs of all VPCs: opens the stream, opens it again with jittered backoff whenever it ends, and takes
 * what it says. While the stream is down, what is known stays known: revisions do not change.
 */
export function createVpcFollower(options: VpcFollowerOptions): Part {
  const { clock, random, logger, onFollowing = () => {} } = options;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      let hasEvents = false;
      const onEvent = (): void => {
        if (hasEvents) return;
        hasEvents = true;
        onFollowing(true);
        logger.info({}, 'following the change logs');
      };
      await followOnce(options, stopping.signal, onEvent).catch((error: unknown) =>
        logger.debug({ error }, 'the stream of changes failed'),
      );
      if (hasEvents) {
        onFollowing(false);
        logger.info({}, 'no longer following the change logs');
      }
      failures = hasEvents ? 0 : failures + 1;
      const boundMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(failures, 10));
      await clock.wait(random() * boundMs, stopping.signal);
    }
  };

  return {
    name: 'policy VPC follower',
    start: () => {
      running = run();
      return Promise.resolve();
    },
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}

/** Takes the events of one stream until it ends. Rejects with what ended it. */
async function followOnce(
  { changes, vpcs, clock }: VpcFollowerOptions,
  stopping: AbortSignal,
  onEvent: () => void,
): Promise<void> {
  const startedAt = clock.monotonicMs();
  const unseen = new Set(vpcs.ids());
  const silent = new AbortController();
  const listen = () => clock.setTimer(silenceMs, () => silent.abort());
  let timer = listen();
  try {
    const signal = AbortSignal.any([stopping, silent.signal]);
    for await (const response of changes.watchVpcs({}, { signal })) {
      timer.cancel();
      timer = listen();
      const { event } = response;
      const vpcId = event?.$case === 'heartbeat' ? undefined : event?.value.vpcId;
      take(vpcs, response, vpcId);
      if (event?.$case === 'snapshot') unseen.delete(event.value.vpcId);
      onEvent();
    }
  } finally {
    timer.cancel();
    if (clock.monotonicMs() - startedAt >= completeAfterMs)
      for (const vpcId of unseen) vpcs.forget(vpcId);
  }
}

/** Takes an event; forgets the VPC where that fails, so that its next snapshot is believed whatever it says. */
function take(
  vpcs: FollowedVpcs,
  response: Parameters<FollowedVpcs['take']>[0],
  vpcId: string | undefined,
): void {
  try {
    vpcs.take(response);
  } catch (error) {
    if (vpcId !== undefined) vpcs.forget(vpcId);
    throw error;
  }
}

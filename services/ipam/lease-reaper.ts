import type { Clock } from '@nexodus/clock';
import type { Part } from '@nexodus/lifecycle';
import type { Logger } from '@nexodus/telemetry';
import type { Expired, LeaseStore } from './lease-store.ts';

/** What the reaper needs. */
export interface LeaseReaperOptions {
  readonly store: Pick<LeaseStore, 'expire'>;
  readonly clock: Pick<Clock, 'now' | 'wait'>;
  readonly logger: Logger;
  /** Time between two runs. */
  readonly intervalMs: number;
  readonly onExpired: (counts: Expired) => void;
}

/**
 * Removes ended leases and quarantines from time to time. Only room is at stake: what has ended counts nowhere, removed
 * or not. Several replicas may run it at once.
 */
export function createLeaseReaper(options: LeaseReaperOptions): Part {
  const { store, clock, logger, intervalMs, onExpired } = options;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.wait(intervalMs, stopping.signal);
      if (stopping.signal.aborted) return;
      try {
        onExpired(await store.expire(clock.now()));
      } catch (error) {
        logger.warn({ error }, 'ended leases could not be removed');
      }
    }
  };

  return {
    name: 'ipam lease reaper',
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

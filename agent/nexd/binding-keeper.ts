import type { Clock } from '@nexodus/clock';
import type { Logger } from '@nexodus/telemetry';
import type { PublishedBinding } from '../core/own-binding.ts';
import { type BindingPublisherOptions, ensureBinding } from '../enrol/publish-binding.ts';
import type { Enrolment } from '../state/agent-state.ts';

/** What the keeper needs. */
export interface BindingKeeperOptions {
  readonly enrolment: Enrolment;
  readonly keys: BindingPublisherOptions['keys'];
  readonly client: BindingPublisherOptions['client'];
  /** Keeps an enrolment on disk. */
  readonly save: (enrolment: Enrolment) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Keeps the device's own binding published, beside everything else: a service that is slow to take it delays nothing. */
export interface BindingKeeper {
  /** The enrolment with the newest binding. */
  readonly enrolment: Enrolment;
  /** Publishes where that is needed, one attempt at a time; returns at once and never throws. */
  ensure(published: PublishedBinding): void;
  /** Gives up the attempt that is under way; afterwards nothing is kept on disk any more. */
  stop(): Promise<void>;
}

/** A binding that could not be published, or was just published, is looked at again after this time. */
const RETRY_MS = 10_000;

/** Makes the keeper. */
export function createBindingKeeper(options: BindingKeeperOptions): BindingKeeper {
  const { keys, client, save, clock, logger } = options;
  const stopping = new AbortController();
  let { enrolment } = options;
  let attempt: Promise<void> | undefined;
  let triedAtMs = -Infinity;

  const keep = (next: Enrolment): Promise<void> => {
    stopping.signal.throwIfAborted();
    enrolment = next;
    return save(next);
  };
  const publish = async (published: PublishedBinding): Promise<void> => {
    const before = enrolment;
    const publisher = { keys, client, keep, now: () => clock.now(), signal: stopping.signal };
    try {
      enrolment = (await ensureBinding(publisher, before, published)).enrolment;
      if (enrolment !== before) triedAtMs = clock.monotonicMs();
    } catch (error) {
      triedAtMs = clock.monotonicMs();
      if (!stopping.signal.aborted) logger.warn({ error }, 'the binding was not published');
    }
  };

  return {
    get enrolment() {
      return enrolment;
    },
    ensure: (published) => {
      if (attempt !== undefined || stopping.signal.aborted) return;
      if (clock.monotonicMs() - triedAtMs < RETRY_MS) return;
      attempt = publish(published).finally(() => {
        attempt = undefined;
      });
    },
    stop: async () => {
      stopping.abort();
      await attempt;
    },
  };
}

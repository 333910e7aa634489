import type { Clock } from '@nexodus/clock';
import {
  createInProcessMessageBus,
  createInProcessSoftStateStore,
  createNatsSoftStateStore,
  type MessageBus,
  type SoftStateStore,
} from '@nexodus/messaging';
import { openProcessBus } from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import type { StandaloneSettings } from './settings.ts';

/** Bus and soft state of all modules. */
export interface Messages {
  bus: MessageBus;
  softState: SoftStateStore;
  stop(): Promise<void>;
}

/** Inside the process, or on the NATS that the settings name. */
export function openMessages(
  settings: StandaloneSettings['nats'],
  { clock, logger }: { clock: Clock; logger: Logger },
): Messages {
  const random = Math.random;
  if (settings === undefined) {
    const bus = createInProcessMessageBus();
    return {
      bus,
      softState: createInProcessSoftStateStore({ clock, random }),
      stop: () => bus.close(),
    };
  }
  const { bus, link, part } = openProcessBus(settings, {
    name: 'standalone',
    clock,
    random,
    logger,
  });
  const softState = createNatsSoftStateStore(link, { clock, random, bucket: 'nexodus-soft-state' });
  return { bus, softState, stop: () => part.stop() };
}

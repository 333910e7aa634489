import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import {
  createInProcessMessageBus,
  createInProcessSoftStateStore,
  createNatsMessageBus,
  createNatsSoftStateStore,
  type MessageBus,
  openNats,
  type SoftStateStore,
} from '@nexodus/messaging';

/** What a replica reaches others by. */
export interface TestMessaging {
  bus: MessageBus;
  softState: SoftStateStore;
  readonly close: () => Promise<void>;
}

/** One bus for all who open it, which ends with the test. */
export function messagingInProcess(
  atEnd: (close: () => Promise<unknown>) => void,
): () => Promise<TestMessaging> {
  const bus = createInProcessMessageBus();
  const softState = createInProcessSoftStateStore({ clock: systemClock, random: Math.random });
  atEnd(() => bus.close());
  return () => Promise.resolve({ bus, softState, close: () => Promise.resolve() });
}

/** A connection for each who opens it, to a bucket that others do not use. */
export function messagingOverNats(url: string): () => Promise<TestMessaging> {
  const bucket = `soft-${Math.random().toString(36).slice(2)}`;
  return async () => {
    const link = openNats({
      servers: [url],
      name: 'test',
      clock: systemClock,
      random: Math.random,
    });
    await eventually(() => link.status === 'connected');
    const bus = createNatsMessageBus(link);
    const options = { clock: systemClock, random: Math.random, bucket };
    const softState = createNatsSoftStateStore(link, options);
    const close = async (): Promise<void> => {
      await bus.close();
      await link.close();
    };
    return { bus, softState, close };
  };
}

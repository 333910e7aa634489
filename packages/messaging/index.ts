export { createInProcessMessageBus } from './in-process-message-bus.ts';
export type {
  BusGap,
  BusHandler,
  BusMessage,
  BusStatus,
  BusSubscription,
  MessageBus,
  SubscribeOptions,
} from './message-bus.ts';
export { openNats } from './nats-link.ts';
export type { NatsCredentials, NatsLink, NatsOptions } from './nats-link.ts';
export { createNatsMessageBus } from './nats-message-bus.ts';
export {
  createInProcessSoftStateStore,
  createNatsSoftStateStore,
} from './create-soft-state-store.ts';
export type { SoftStateOptions } from './create-soft-state-store.ts';
export { SoftStateUnavailableError } from './soft-state-store.ts';
export type { SoftStateChange, SoftStateEntry, SoftStateStore } from './soft-state-store.ts';

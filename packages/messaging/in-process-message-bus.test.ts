import { createInProcessMessageBus } from './in-process-message-bus.ts';
import { describeMessageBus } from './message-bus.contract.ts';

describeMessageBus('the in-process bus', () => {
  const bus = createInProcessMessageBus();
  return Promise.resolve({ near: bus, far: bus, stop: () => bus.close() });
});

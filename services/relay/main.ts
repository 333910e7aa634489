/** The relay as a process of its own. */
import { openProcessBus, runService } from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { createRelayModule, relayProcessSettings } from './index.ts';

await runService({
  name: 'relay',
  settings: relayProcessSettings,
  build: ({ relay: config, nats }, { clock, logger }) => {
    const random = Math.random;
    const { bus, part } = openProcessBus(nats, { name: 'relay', clock, random, logger });
    const meter = metrics.getMeter('nexodus-relay');
    const module = createRelayModule({ config, bus, clock, random, logger, meter });
    return { ...module, parts: [part, ...module.parts] };
  },
});

/** The relay as a process of its own. */
import {
  natsSettings,
  openProcessBus,
  processSettings,
  runService,
} from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { createRelayModule, relayConfig } from './index.ts';

await runService({
  name: 'relay',
  settings: processSettings.extend({ relay: relayConfig.prefault({}), nats: natsSettings }),
  build: ({ relay: config, nats }, { clock, logger }) => {
    const random = Math.random;
    const { bus, part } = openProcessBus(nats, { name: 'relay', clock, random, logger });
    const meter = metrics.getMeter('nexodus-relay');
    const module = createRelayModule({ config, bus, clock, random, logger, meter });
    return { ...module, parts: [part, ...module.parts] };
  },
});

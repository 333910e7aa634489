/** The STUN server as a process of its own. */
import { openProcessBus, runService } from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { createStunModule, stunProcessSettings } from './index.ts';

await runService({
  name: 'stun',
  settings: stunProcessSettings,
  build: ({ stun: config, nats }, { clock, logger }) => {
    const random = Math.random;
    const { bus, part } = openProcessBus(nats, { name: 'stun', clock, random, logger });
    const meter = metrics.getMeter('nexodus-stun');
    const module = createStunModule({ config, bus, clock, random, logger, meter });
    return { ...module, parts: [part, ...module.parts] };
  },
});

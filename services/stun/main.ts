/** The STUN server as a process of its own. */
import {
  natsSettings,
  openProcessBus,
  processSettings,
  runService,
} from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { createStunModule, stunConfig } from './index.ts';

await runService({
  name: 'stun',
  settings: processSettings.extend({ stun: stunConfig.prefault({}), nats: natsSettings }),
  build: ({ stun: config, nats }, { clock, logger }) => {
    const random = Math.random;
    const { bus, part } = openProcessBus(nats, { name: 'stun', clock, random, logger });
    const meter = metrics.getMeter('nexodus-stun');
    const module = createStunModule({ config, bus, clock, random, logger, meter });
    return { ...module, parts: [part, ...module.parts] };
  },
});

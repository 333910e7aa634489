/** The STUN server as a process of its own. */
import type { Part } from '@nexodus/lifecycle';
import { createNatsMessageBus, openNats } from '@nexodus/messaging';
import { natsSettings, processSettings, runService } from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { createStunModule, stunConfig } from './index.ts';

await runService({
  name: 'stun',
  settings: processSettings.extend({ stun: stunConfig.prefault({}), nats: natsSettings }),
  build: ({ stun: config, nats }, { clock, logger }) => {
    const random = Math.random;
    const link = openNats({
      servers: nats.servers,
      name: 'nexodus-stun',
      clock,
      random,
      tls: nats.ca_file === undefined ? undefined : { caFile: nats.ca_file },
      credentials:
        nats.credentials_file === undefined
          ? undefined
          : { kind: 'creds', file: nats.credentials_file },
      onError: (error) => logger.warn({ error }, 'NATS cannot be reached'),
    });
    const bus = createNatsMessageBus(link);
    const messages: Part = {
      name: 'messages',
      start: () => Promise.resolve(),
      stop: async () => {
        await bus.close();
        await link.close();
      },
    };
    const meter = metrics.getMeter('nexodus-stun');
    const module = createStunModule({ config, bus, clock, random, logger, meter });
    return { ...module, parts: [messages, ...module.parts] };
  },
});

/** Addresses as a process of its own. */
import { openDatabase } from '@nexodus/database';
import { databaseConnection, runService } from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { createIpamModule, ipamProcessSettings } from './index.ts';

await runService({
  name: 'ipam',
  settings: ipamProcessSettings,
  build: (settings, { clock, logger }) => {
    const database = openDatabase({
      connection: databaseConnection(settings.database),
      schema: 'ipam',
      applicationName: 'nexodus-ipam',
      clock,
      random: Math.random,
      logger,
    });
    const module = createIpamModule({
      config: settings.ipam,
      database,
      clock,
      logger,
      meter: metrics.getMeter('nexodus-ipam'),
    });
    const connections = { name: 'database', start: async () => {}, stop: () => database.close() };
    return { ...module, parts: [connections, ...module.parts] };
  },
});

/** Policy as a process of its own. */
import { ChangeServiceDefinition } from '@nexodus/contracts/event';
import { createRpcClient, openChannel } from '@nexodus/rpc';
import { processSettings, runService } from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { z } from 'zod';
import { createPolicyModule, policyConfig } from './index.ts';

await runService({
  name: 'policy',
  settings: processSettings.extend({
    /** Internal server of the apiserver: `host:port`, `[ipv6]:port` or `unix:/path`. */
    apiserver: z.object({ address: z.string().min(1) }),
    policy: policyConfig.prefault({}),
  }),
  build: (settings, { clock, logger, tlsTowards }) => {
    const channel = openChannel({
      address: settings.apiserver.address,
      tls: tlsTowards('apiserver'),
    });
    const module = createPolicyModule({
      config: settings.policy,
      changes: createRpcClient(ChangeServiceDefinition, channel),
      clock,
      random: Math.random,
      logger,
      meter: metrics.getMeter('nexodus-policy'),
    });
    const connection = {
      name: 'channel to the apiserver',
      start: async () => {},
      stop: async () => channel.close(),
    };
    return { ...module, parts: [connection, ...module.parts] };
  },
});

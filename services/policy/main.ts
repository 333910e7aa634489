/** Policy as a process of its own. */
import { ChangeServiceDefinition } from '@nexodus/contracts/event';
import { createRpcClient, openChannel } from '@nexodus/rpc';
import { runService } from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { createPolicyModule, policyProcessSettings } from './index.ts';

await runService({
  name: 'policy',
  settings: policyProcessSettings,
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

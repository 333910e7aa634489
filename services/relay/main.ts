/** The relay as a process of its own. */
import { GrantServiceDefinition } from '@nexodus/contracts/relay';
import { createRpcClient, openChannel } from '@nexodus/rpc';
import { openProcessBus, readText, runService } from '@nexodus/service-process';
import { metrics } from '@opentelemetry/api';
import { createRelayModule, relayProcessSettings } from './index.ts';

await runService({
  name: 'relay',
  settings: relayProcessSettings,
  build: ({ relay: config, nats, apiserver }, { clock, logger, tlsTowards }) => {
    const random = Math.random;
    const tls = { certificate: readText(config.certificate_file), key: readText(config.key_file) };
    const internalTls = tlsTowards('apiserver');
    const { bus, part } = openProcessBus(nats, { name: 'relay', clock, random, logger });
    const channel = openChannel({ address: apiserver.address, tls: internalTls });
    const module = createRelayModule({
      config,
      tls,
      grants: createRpcClient(GrantServiceDefinition, channel),
      bus,
      clock,
      random,
      logger,
      meter: metrics.getMeter('nexodus-relay'),
    });
    const connection = {
      name: 'channel to the apiserver',
      start: async () => {},
      stop: async () => channel.close(),
    };
    return { ...module, parts: [part, connection, ...module.parts] };
  },
});

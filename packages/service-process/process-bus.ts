import type { Clock } from '@nexodus/clock';
import type { Part } from '@nexodus/lifecycle';
import {
  createNatsMessageBus,
  type MessageBus,
  type NatsLink,
  type NatsOptions,
  openNats,
} from '@nexodus/messaging';
import type { Logger } from '@nexodus/telemetry';
import type { z } from 'zod';
import type { natsSettings } from './process-settings.ts';

/** The bus of one process. */
export interface ProcessBus {
  readonly bus: MessageBus;
  /** For what else shares the connection. */
  readonly link: NatsLink;
  /** Closes both; first of the parts, so that it is the last to stop. */
  readonly part: Part;
}

/** Opens the bus on NATS as the settings say. It connects, and connects again, in the background. */
export function openProcessBus(
  settings: z.output<typeof natsSettings>,
  options: { name: string; clock: Clock; random: () => number; logger: Logger },
): ProcessBus {
  const { name, clock, random, logger } = options;
  const { servers, credentials_file: credentialsFile } = settings;
  const link = openNats({
    servers,
    name: `nexodus-${name}`,
    clock,
    random,
    tls: natsTls(settings),
    credentials:
      credentialsFile === undefined ? undefined : { kind: 'creds', file: credentialsFile },
    onError: (error) => logger.warn({ error }, 'NATS cannot be reached'),
  });
  const bus = createNatsMessageBus(link);
  const part: Part = {
    name: 'message bus',
    start: () => Promise.resolve(),
    stop: async () => {
      await bus.close();
      await link.close();
    },
  };
  return { bus, link, part };
}

/** A server without TLS is refused as soon as one of the files is named. */
function natsTls(settings: z.output<typeof natsSettings>): NatsOptions['tls'] {
  const { ca_file: caFile, certificate_file: certFile, key_file: keyFile } = settings;
  if (caFile === undefined && certFile === undefined && keyFile === undefined) return undefined;
  return { caFile, certFile, keyFile };
}

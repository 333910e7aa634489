import { natsSettings, processSettings } from '@nexodus/service-process';
import { z } from 'zod';

/** Settings of the relay. */
export const relayConfig = z.object({
  /** Region that it tells agents it is in; empty for none. */
  region: z.string().max(63).default(''),
});

/** Settings of the relay after validation. */
export type RelayConfig = z.output<typeof relayConfig>;

/** Settings of a relay process. */
export const relayProcessSettings = processSettings.extend({
  relay: relayConfig.prefault({}),
  nats: natsSettings,
});

export { relayConfig, relayProcessSettings } from './relay-config.ts';
export type { RelayConfig } from './relay-config.ts';
export { createRelayModule } from './relay-module.ts';
export type { RelayModuleOptions } from './relay-module.ts';

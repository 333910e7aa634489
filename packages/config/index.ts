export { ConfigError } from './config-error.ts';
export { loadConfig } from './load-config.ts';
export type { ConfigSources } from './load-config.ts';
export { listenAddress, secretFile } from './fields.ts';
export type { ListenAddress } from './fields.ts';

export { stunConfig, stunProcessSettings } from './stun-config.ts';
export type { StunConfig } from './stun-config.ts';
export { createStunModule } from './stun-module.ts';
export type { StunModule, StunModuleOptions } from './stun-module.ts';

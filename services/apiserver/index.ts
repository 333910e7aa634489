export { apiserverSettings, issuerSettings } from './apiserver-config.ts';
export { audienceOf } from './core/audience.ts';
export { createApiserverModule } from './apiserver-module.ts';
export type { ApiserverModule, ApiserverModuleOptions } from './apiserver-module.ts';
export type { Bootstrap, BootstrapResult, BootstrapSeed } from './bootstrap.ts';

export { apiserverProcessSettings, apiserverSettings, issuerSettings } from './apiserver-config.ts';
export { audienceOf } from './core/audience.ts';
export { createApiserverModule } from './apiserver-module.ts';
export type { ApiserverModule, ApiserverModuleOptions } from './apiserver-module.ts';
export type { Bootstrap, BootstrapResult, BootstrapSeed } from './bootstrap.ts';
export { createGateway } from './gateway/gateway.ts';
export type { Gateway, GatewayOptions } from './gateway/gateway.ts';
export { createHttpsFront } from './gateway/https-front.ts';
export type { HttpsFront, HttpsFrontOptions, HttpsRoute } from './gateway/https-front.ts';

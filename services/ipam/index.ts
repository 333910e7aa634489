export { ipamConfig, ipamProcessSettings } from './ipam-config.ts';
export type { IpamConfig } from './ipam-config.ts';
export { createIpamModule } from './ipam-module.ts';
export type { IpamModuleOptions } from './ipam-module.ts';

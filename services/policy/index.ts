export { policyConfig, policyProcessSettings } from './policy-config.ts';
export type { PolicyConfig } from './policy-config.ts';
export { createPolicyModule } from './policy-module.ts';
export type { PolicyModuleOptions } from './policy-module.ts';
export type { VpcChanges } from './vpc-follower.ts';

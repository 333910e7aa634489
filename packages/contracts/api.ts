/** Contracts of nexodus.api.v1, generated from proto/nexodus/api/v1. */
export * from './gen/nexodus/api/v1/device.ts';
export * from './gen/nexodus/api/v1/organization.ts';
export * from './gen/nexodus/api/v1/registration_key.ts';
export * from './gen/nexodus/api/v1/service_account.ts';
export * from './gen/nexodus/api/v1/service_info.ts';
export * from './gen/nexodus/api/v1/token.ts';
export * from './gen/nexodus/api/v1/user.ts';
export * from './gen/nexodus/api/v1/vpc.ts';

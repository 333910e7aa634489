/** Contracts of nexodus.policy.v1, generated from proto/nexodus/policy/v1. */
export * from './gen/nexodus/policy/v1/policy.ts';

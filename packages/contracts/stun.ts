/** Contracts of nexodus.stun.v1, generated from proto/nexodus/stun/v1. */
export * from './gen/nexodus/stun/v1/stun.ts';

/** Contracts of nexodus.ipam.v1, generated from proto/nexodus/ipam/v1. */
export * from './gen/nexodus/ipam/v1/ipam.ts';

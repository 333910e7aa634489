/** Contracts of nexodus.type.v1, generated from proto/nexodus/type/v1. */
export * from './gen/nexodus/type/v1/binding.ts';
export * from './gen/nexodus/type/v1/endpoint.ts';
export * from './gen/nexodus/type/v1/relay_latency.ts';

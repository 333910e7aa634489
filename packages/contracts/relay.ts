/** Contracts of nexodus.relay.v1, generated from proto/nexodus/relay/v1. */
export * from './gen/nexodus/relay/v1/grant.ts';
export type { ServerStreamingMethodResult } from './gen/nexodus/relay/v1/grant.ts';
export * from './gen/nexodus/relay/v1/relay.ts';

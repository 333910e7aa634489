/** Contracts of nexodus.relay.session.v1, generated from proto/nexodus/relay/session/v1. */
export * from './gen/nexodus/relay/session/v1/session.ts';

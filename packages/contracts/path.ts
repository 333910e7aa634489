/** Contracts of nexodus.path.v1, generated from proto/nexodus/path/v1. */
export * from './gen/nexodus/path/v1/signal.ts';

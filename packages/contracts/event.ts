/** Contracts of nexodus.event.v1, generated from proto/nexodus/event/v1. */
export * from './gen/nexodus/event/v1/change.ts';
export * from './gen/nexodus/event/v1/doorbell.ts';

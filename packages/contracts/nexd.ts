/** Contracts of nexodus.nexd.v1, generated from proto/nexodus/nexd/v1. */
export * from './gen/nexodus/nexd/v1/nexd.ts';

/** Contracts of nexodus.agent.v1, generated from proto/nexodus/agent/v1. */
export * from './gen/nexodus/agent/v1/agent.ts';

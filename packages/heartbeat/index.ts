export { createHeartbeat } from './heartbeat.ts';
export type { HeartbeatOptions } from './heartbeat.ts';

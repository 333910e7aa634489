export { createHeartbeat, HEARTBEAT_CALL_SUBJECT } from './heartbeat.ts';
export type { HeartbeatOptions } from './heartbeat.ts';

export { createHeartbeat, HEARTBEAT_CALL_SUBJECT } from './heartbeat.ts';
export type { Heartbeat, HeartbeatOptions } from './heartbeat.ts';

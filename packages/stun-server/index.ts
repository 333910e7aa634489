export { openStunServer } from './open-stun-server.ts';
export type { StunServer, StunServerOptions } from './open-stun-server.ts';
export type { StunCounts } from './stun-counters.ts';
export { planSockets } from './socket-plan.ts';
export type { StunAddress, StunDiscovery, StunSocketPlan } from './socket-plan.ts';

/** The parts of the data plane, each by itself, for benchmarks. The relay composes the same parts. */
export { createPublicListener } from './sessions/public-listener.ts';
export { defaultTlsLaneLimits } from './tls-lane/tls-lane-limits.ts';
export { createTlsLaneMetrics } from './tls-lane/tls-lane-metrics.ts';
export { createTlsLane } from './tls-lane/tls-lane.ts';
export type { Flow } from './udp-lane/offload/flow-elements.ts';
export { ForwardingSwitch } from './udp-lane/offload/forwarding-switch.ts';
export { NftOffload } from './udp-lane/offload/nft-offload.ts';
export { openUdpLane } from './udp-lane/worker-udp-lane.ts';
export type { UdpLaneOptions } from './udp-lane/worker-udp-lane.ts';
export type { UdpLaneStatistics } from './udp-lane/udp-lane.ts';

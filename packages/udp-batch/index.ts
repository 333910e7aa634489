export { runUdpWorker } from './run-udp-worker.ts';
export { UdpSocketError } from './udp-errors.ts';
export type {
  OutgoingDatagram,
  ReceivedBatch,
  UdpAdapter,
  UdpCounters,
  UdpHandlers,
  UdpLoop,
  UdpLoopOptions,
  UdpOpenResult,
  UdpProgram,
  UdpSocketOptions,
} from './udp-loop.ts';
export { startUdpWorker } from './udp-worker.ts';
export type { UdpWorker, UdpWorkerOptions } from './udp-worker.ts';

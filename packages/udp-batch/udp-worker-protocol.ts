import type { MessagePort } from 'node:worker_threads';
import type { UdpAdapter, UdpLoopOptions } from './udp-loop.ts';

/** What a worker thread is started with. */
export interface UdpWorkerData {
  readonly adapter: UdpAdapter | 'auto';
  readonly options: Required<UdpLoopOptions>;
  /** Brings ToUdpWorker. */
  readonly port: MessagePort;
  readonly data: unknown;
}

/** To the worker. */
export type ToUdpWorker =
  | { readonly kind: 'message'; readonly message: unknown }
  | { readonly kind: 'stop' };

/** From the worker. */
export type FromUdpWorker =
  | {
      readonly kind: 'ready';
      readonly adapter: UdpAdapter;
      /** Descriptor to write 8 bytes to when something was posted; whoever started the worker closes it. */
      readonly wakeFd?: number;
      /** Why it is not the preferred adapter. */
      readonly fallbackReason?: string;
    }
  | { readonly kind: 'message'; readonly message: unknown };

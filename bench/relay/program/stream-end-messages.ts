import type { Endpoint } from './endpoint.ts';
import type { OpeningPlan } from './opening.ts';

/** Datagrams that look like WireGuard's data, at an even rate. */
export interface StreamPlan {
  readonly to: Endpoint;
  readonly ratePerSecond: number;
  readonly seconds: number;
  /** Length of each, at least 32 as WireGuard's shortest. */
  readonly bytes: number;
  /** Each with the header of a TURN channel in front, which comes on top of `bytes`. */
  readonly inChannel: boolean;
}

/** How long datagrams were on their way. */
export interface DelayReport {
  readonly received: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** To the thread. One thing at a time: each is answered. */
export type ToStreamEnd =
  | { readonly do: 'bind'; readonly address: string }
  | { readonly do: 'open'; readonly relay: Endpoint; readonly plan: OpeningPlan }
  | { readonly do: 'stream'; readonly plan: StreamPlan }
  /** Counts from here on, but none whose number is smaller: what was not warm yet. */
  | { readonly do: 'expect'; readonly skipBefore: number }
  | { readonly do: 'report' };

/** From the thread. */
export type FromStreamEnd =
  | { readonly told: 'bound'; readonly port: number }
  | { readonly told: 'opened'; readonly relayed?: Endpoint }
  | { readonly told: 'delays'; readonly report: DelayReport }
  | { readonly told: 'done' };

/** What the thread of the service and the thread of the lane tell each other (structured clone). */
import type { SessionSide } from '@nexodus/relay-registration';
import type { AdmissionLimits } from '../core/admission-limits.ts';
import type { PortPair, PortRange } from '../core/port-pool.ts';
import type { UdpLaneEnd, UdpLaneStatistics } from './udp-lane.ts';

/** What a lane's thread is started with. */
export interface LaneData {
  /** Addresses to listen on, at most one of each family, no wildcard. */
  readonly addresses: readonly string[];
  readonly ports: PortRange;
  /** Sessions at most, whatever the ports allow. */
  readonly sessions: number;
  readonly tenantShare: number;
  readonly sessionsPerDevice: number;
  readonly idleMs: number;
  readonly admission: AdmissionLimits;
  /** Undefined where offload is not wanted. */
  readonly offload: OffloadData | undefined;
}

/** How the kernel is told. */
export interface OffloadData {
  /** Interfaces that packets of sessions arrive at; default: those that have the addresses. */
  readonly interfaces: readonly string[] | undefined;
  /** Where it is written what the machine was like before, for the case of a sudden end. */
  readonly stateFile: string;
}

/** A session, ready for the thread of the lane. */
export interface LaneOpening {
  readonly sessionId: bigint;
  readonly tenantId: string;
  readonly devices: readonly [LaneOpeningDevice, LaneOpeningDevice];
  /** From now on; Infinity for never. */
  readonly lifetimeMs: number;
  readonly quotaBytes: number;
  readonly rateBytesPerSecond: number;
}

/** A device of it. */
export interface LaneOpeningDevice {
  /** Text of the WireGuard key, by which its sessions are counted. */
  readonly name: string;
  readonly mac1State: Uint8Array;
  readonly registrationKey: Uint8Array;
}

/** To the lane. */
export type ToLane =
  | { readonly kind: 'open'; readonly request: number; readonly opening: LaneOpening }
  | { readonly kind: 'close'; readonly sessionId: bigint }
  | { readonly kind: 'drain' }
  | { readonly kind: 'statistics'; readonly request: number };

/** From the lane. */
export type FromLane =
  | {
      readonly kind: 'started';
      readonly capacity: number;
      readonly hasOffload: boolean;
      readonly offloadReason: string | undefined;
    }
  | { readonly kind: 'opened'; readonly request: number; readonly ports: PortPair | undefined }
  | {
      readonly kind: 'statistics';
      readonly request: number;
      readonly statistics: UdpLaneStatistics;
    }
  | { readonly kind: 'ended'; readonly sessionId: bigint; readonly reason: UdpLaneEnd }
  | { readonly kind: 'roamed'; readonly sessionId: bigint; readonly side: SessionSide }
  | { readonly kind: 'offload-failed'; readonly reason: string };

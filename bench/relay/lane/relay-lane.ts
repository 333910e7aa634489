import type { BenchNetwork } from '../bench-network.ts';
import type { Endpoint } from '../program/endpoint.ts';
import type { RunningProgram } from '../program/running-program.ts';
import type { StreamEndCalls } from '../program/stream-end.ts';

/** The ends of a stream of plain datagrams, bound to all addresses of their hosts. */
export interface StreamEnds {
  readonly sender: RunningProgram<StreamEndCalls>;
  readonly sink: RunningProgram<StreamEndCalls>;
  /** Ports of their sockets. */
  readonly senderPort: number;
  readonly sinkPort: number;
}

/** Where the sender sends to, and how, so that it arrives at the sink. */
export interface StreamWay {
  readonly to: Endpoint;
  /** In a TURN channel. */
  readonly inChannel: boolean;
}

/** A relay that runs. */
export interface RunningLane {
  /** The process that relays; undefined where the kernel does it alone. */
  readonly relayPid: number | undefined;
  /** Processes beside WireGuard that its way of relaying needs on the devices, for the tunnel. */
  readonly endPids: readonly number[];
  /** Makes a way for the tunnel: where alpha and beta send to. */
  openTunnel(): Promise<readonly [Endpoint, Endpoint]>;
  /** Makes a way for a stream. */
  openStream(ends: StreamEnds): Promise<StreamWay>;
  /** Ends everything of it. */
  stop(): Promise<void>;
}

/** How a lane is started. */
export interface LaneOptions {
  readonly network: BenchNetwork;
  /** Arguments of Node for the processes of the lane. */
  readonly nodeArguments: readonly string[];
}

/** A way to relay. */
export interface RelayLane {
  /** Word for the command line and the table. */
  readonly name: string;
  /** What it is. */
  readonly description: string;
  /** @throws Error where it does not come up as what it shall be */
  start(options: LaneOptions): Promise<RunningLane>;
}

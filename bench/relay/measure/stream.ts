import { availableParallelism } from 'node:os';
import { runChecked } from '@nexodus/netsim';
import type { BenchNetwork } from '../bench-network.ts';
import type { RunningLane, StreamWay } from '../lane/relay-lane.ts';
import { type RunningProgram, startProgram } from '../program/running-program.ts';
import type { StreamEndCalls } from '../program/stream-end.ts';
import { passed, readProcessorTime } from './processor-time.ts';

/** What became of a stream of datagrams of one size at an even rate. */
export interface StreamMeasurement {
  readonly ratePerSecond: number;
  /** Share of the datagrams that did not arrive. */
  readonly lossRatio: number;
  /** One way, from before the sender's system call until the receiver's thread has it. */
  readonly p50Us: number;
  readonly p99Us: number;
  /** Of the relay's process, for each datagram; undefined where the kernel relays. */
  readonly relayUsPerDatagram: number | undefined;
}

/** Packets of a second per rate. */
export const RATES: readonly number[] = [10_000, 30_000];

/** A datagram of WireGuard with 32 bytes in it: small, so that the cost is that of a packet, not of its bytes. */
const DATAGRAM_BYTES = 64;
/** Share of the stream that comes before code and caches are warm. */
const WARM_UP_SHARE = 0.1;
/** The last may be under way so long. */
const DRAIN_MS = 200;

/** Sends streams through a relay that nobody else uses. */
export async function measureStreams(
  network: BenchNetwork,
  lane: RunningLane,
  seconds: number,
): Promise<readonly StreamMeasurement[]> {
  const [alpha, beta] = [network.alpha.host, network.beta.host];
  await using sender = await startProgram<StreamEndCalls>({ host: alpha, file: './stream-end.ts' });
  await using sink = await startProgram<StreamEndCalls>({ host: beta, file: './stream-end.ts' });
  const senderPort = await sender.call('bind', '0.0.0.0');
  const sinkPort = await sink.call('bind', '0.0.0.0');
  const way = await lane.openStream({ sender, sink, senderPort, sinkPort });
  await separate(sender.pid, [sink.pid, ...(lane.relayPid === undefined ? [] : [lane.relayPid])]);
  const measurements: StreamMeasurement[] = [];
  for (const ratePerSecond of RATES) {
    measurements.push(await measureStream({ sender, sink, way, lane }, ratePerSecond, seconds));
  }
  return measurements;
}

/** The sender never sleeps, so it has a processor of its own; the relay and the receiver share another. */
async function separate(sender: number, others: readonly number[]): Promise<void> {
  if (availableParallelism() < 2) return;
  await pin(sender, 0);
  for (const pid of others) await pin(pid, 1);
}

async function pin(pid: number, processor: number): Promise<void> {
  await runChecked(['taskset', '-a', '-p', '-c', String(processor), String(pid)]);
}

async function measureStream(
  on: {
    readonly sender: RunningProgram<StreamEndCalls>;
    readonly sink: RunningProgram<StreamEndCalls>;
    readonly way: StreamWay;
    readonly lane: RunningLane;
  },
  ratePerSecond: number,
  seconds: number,
): Promise<StreamMeasurement> {
  const { sender, sink, way, lane } = on;
  const count = Math.round(ratePerSecond * seconds);
  const skipped = Math.round(count * WARM_UP_SHARE);
  await sink.call('expect', skipped);
  const before = readProcessorTime(lane);
  await sender.call('stream', { ...way, ratePerSecond, seconds, bytes: DATAGRAM_BYTES });
  const { relay } = passed(before, readProcessorTime(lane));
  await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
  const { received, p50Us, p99Us } = await sink.call('report');
  return {
    ratePerSecond,
    lossRatio: 1 - received / (count - skipped),
    p50Us,
    p99Us,
    relayUsPerDatagram: lane.relayPid === undefined ? undefined : (relay / count) * 1e6,
  };
}

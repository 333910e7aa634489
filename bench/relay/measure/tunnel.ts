import { eventually } from '@nexodus/clock/testing';
import { iperf3, ping } from '@nexodus/netsim';
import type { BenchNetwork } from '../bench-network.ts';
import type { RunningLane } from '../lane/relay-lane.ts';
import { passed, type ProcessorTime, readProcessorTime } from './processor-time.ts';
import { quantile } from './quantile.ts';

/** What WireGuard gets out of a relay. */
export interface TunnelMeasurement {
  readonly megabitsPerSecond: number;
  readonly retransmits: number;
  /** While TCP ran, per 10^9 bytes that arrived. */
  readonly secondsPerGigabyte: ProcessorTime;
  readonly pingP50Ms: number;
  readonly pingP99Ms: number;
}

const HANDSHAKE_DEADLINE_MS = 30_000;
const ECHOES = 200;
const ECHO_INTERVAL_MS = 10;
/** TCP has found its rate by then. */
const WARM_UP_SECONDS = 1;

/** Measures echoes through an idle tunnel, then TCP from alpha to beta. */
export async function measureTunnel(
  network: BenchNetwork,
  lane: RunningLane,
  seconds: number,
): Promise<TunnelMeasurement> {
  const { alpha, beta } = network;
  await network.pointTunnel(await lane.openTunnel());
  await eventually(
    async () => {
      const once = { count: 1, replyTimeoutMs: 300 };
      return (await ping(alpha.host, beta.tunnelAddress, once)).received === 1;
    },
    { timeoutMs: HANDSHAKE_DEADLINE_MS },
  );
  const tcp = { server: beta.host, client: alpha.host, address: beta.tunnelAddress };
  await iperf3({ ...tcp, seconds: WARM_UP_SECONDS });
  const echoes = await ping(alpha.host, beta.tunnelAddress, {
    count: ECHOES,
    intervalMs: ECHO_INTERVAL_MS,
  });
  const before = readProcessorTime(lane);
  const { bitsPerSecond, retransmits } = await iperf3({ ...tcp, seconds });
  const spent = passed(before, readProcessorTime(lane));
  await network.closeTunnel();
  const gigabytes = (bitsPerSecond * seconds) / 8e9;
  return {
    megabitsPerSecond: bitsPerSecond / 1e6,
    retransmits,
    secondsPerGigabyte: {
      relay: spent.relay / gigabytes,
      ends: spent.ends / gigabytes,
      softirq: spent.softirq / gigabytes,
    },
    pingP50Ms: quantile(echoes.rttMs, 0.5),
    pingP99Ms: quantile(echoes.rttMs, 0.99),
  };
}

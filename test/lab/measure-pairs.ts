import { iperf3, ping } from '@nexodus/netsim';
import type { LabMachine } from './lab-machine.ts';

/** What one direction of a pair carries over one family. */
export interface FamilyMeasurement {
  /** Median round trip time of the echoes in milliseconds; undefined when one was lost. */
  readonly pingMs: number | undefined;
  /** TCP payload at the receiver, in megabits per second; undefined when there is no path or no measurement. */
  readonly megabitsPerSecond: number | undefined;
}

/** What one direction of a pair carries. */
export interface PairMeasurement {
  readonly from: string;
  readonly to: string;
  readonly ipv4: FamilyMeasurement;
  readonly ipv6: FamilyMeasurement;
  /** Where the sender's tunnel sends, as `address:port`; empty when it knows no endpoint. */
  readonly path: string;
}

/** How much is measured. */
export interface MeasureOptions {
  /** Echo requests per family. Default 5. */
  readonly echoes?: number;
  /** Seconds of TCP per family; 0 for none. Default 1. */
  readonly throughputSeconds?: number;
  /** Told each pair before it is measured. */
  readonly report?: (pair: string) => void;
  /** Ends after the pair under way. */
  readonly signal?: AbortSignal;
}

/** Time between two echo requests. */
const ECHO_INTERVAL_MS = 50;

/**
 * Measures every ordered pair, one after the other so that none disturbs another. A path that does not carry is a
 * result, not an error.
 */
export async function measurePairs(
  machines: readonly LabMachine[],
  options: MeasureOptions = {},
): Promise<readonly PairMeasurement[]> {
  const results: PairMeasurement[] = [];
  for (const [from, to] of orderedPairs(machines)) {
    options.signal?.throwIfAborted();
    options.report?.(`${from.name} -> ${to.name}`);
    const ipv4 = await measureFamily(from, to, { ...options, address: to.ipv4 });
    const ipv6 = await measureFamily(from, to, { ...options, address: to.ipv6 });
    const peer = (await from.peers()).find(({ deviceId }) => deviceId === to.deviceId);
    results.push({ from: from.name, to: to.name, ipv4, ipv6, path: peer?.endpoint ?? '' });
  }
  return results;
}

/** Every machine with every other, in both directions. */
export function orderedPairs<T>(machines: readonly T[]): readonly (readonly [T, T])[] {
  return machines.flatMap((from) =>
    machines.filter((to) => to !== from).map((to) => [from, to] as const),
  );
}

/** Whether both families carry echoes and, where it was measured, TCP. */
export function isWhole({ ipv4, ipv6 }: PairMeasurement, isThroughputMeasured: boolean): boolean {
  return [ipv4, ipv6].every(
    ({ pingMs, megabitsPerSecond }) =>
      pingMs !== undefined && (!isThroughputMeasured || megabitsPerSecond !== undefined),
  );
}

async function measureFamily(
  from: LabMachine,
  to: LabMachine,
  options: MeasureOptions & { readonly address: string },
): Promise<FamilyMeasurement> {
  const { address, echoes = 5, throughputSeconds = 1 } = options;
  const echo = await ping(from.host, address, { count: echoes, intervalMs: ECHO_INTERVAL_MS });
  if (echo.lost.length > 0) return { pingMs: undefined, megabitsPerSecond: undefined };
  const pingMs = echo.rttMs.toSorted((a, b) => a - b)[Math.floor(echo.rttMs.length / 2)];
  if (throughputSeconds === 0) return { pingMs, megabitsPerSecond: undefined };
  const ends = { server: to.host, client: from.host };
  const megabitsPerSecond = await iperf3({ ...ends, address, seconds: throughputSeconds }).then(
    ({ bitsPerSecond }) => bitsPerSecond / 1e6,
    () => undefined,
  );
  return { pingMs, megabitsPerSecond };
}

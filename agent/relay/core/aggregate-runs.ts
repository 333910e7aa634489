/** Datagrams that may leave in one system call: all of one size, but for the last, which may be smaller (UDP_SEGMENT). */
export interface AggregateRun {
  /** Bytes in all. */
  readonly length: number;
  /** Bytes of each datagram; 0 where there is only one. */
  readonly segmentBytes: number;
}

/** The kernel takes at most 128 (UDP_MAX_SEGMENTS); older ones 64. */
const MOST_SEGMENTS = 64;

/** An IPv4 datagram has at most 65,507 bytes. */
const MOST_BYTES = 60_000;

/** Splits datagrams that lie one behind the other into as few runs as possible, in their order. */
export function* aggregateRuns(lengths: Uint32Array): Generator<AggregateRun> {
  let index = 0;
  while (index < lengths.length) {
    const size = lengths[index] ?? 0;
    const count = segmentsFrom(lengths, index);
    const last = lengths[index + count - 1] ?? 0;
    yield { length: size * (count - 1) + last, segmentBytes: count === 1 ? 0 : size };
    index += count;
  }
}

/** Number of datagrams from the index on that make one run, at least 1. */
function segmentsFrom(lengths: Uint32Array, index: number): number {
  const size = lengths[index] ?? 0;
  if (size === 0) return 1;
  const most = Math.min(MOST_SEGMENTS, Math.floor(MOST_BYTES / size), lengths.length - index);
  let count = 1;
  while (count < most) {
    const next = lengths[index + count] ?? 0;
    if (next > size || next === 0) break;
    count += 1;
    if (next < size) break;
  }
  return count;
}

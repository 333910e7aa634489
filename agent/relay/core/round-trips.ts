/** Round trips to relays: smoothed as they are measured, and announced so that noise announces nothing. */
import type { RelayLatency } from '@nexodus/contracts/type';

/** Round trips in milliseconds, by relay. */
export type RoundTrips = ReadonlyMap<string, number>;

/** Weight of a new sample (RFC 6298 section 2.3 takes 1/8; rounds are 30 s apart, so a new network counts sooner). */
const SAMPLE_WEIGHT = 1 / 4;

/** A sample that differs by more than this factor is another network, not noise. */
const JUMP_FACTOR = 4;

/** At most so many are announced (agent.proto, LocalState.relay_latencies). */
const MAX_ANNOUNCED = 8;

/** What is announced stays while the truth is within this of it, in milliseconds and as a share. */
const KEPT_MS = 3;
const KEPT_SHARE = 0.15;

const MICROSECONDS = 1_000;

/** Takes samples in; a relay without one keeps what it had, one that is not known any more is forgotten. */
export function smoothRoundTrips(
  before: RoundTrips,
  samples: RoundTrips,
  known: ReadonlySet<string>,
): RoundTrips {
  const after = new Map<string, number>();
  for (const relayId of known) {
    const [held, sample] = [before.get(relayId), samples.get(relayId)];
    if (sample === undefined) {
      if (held !== undefined) after.set(relayId, held);
      continue;
    }
    const isJump = held === undefined || sample > held * JUMP_FACTOR || sample * JUMP_FACTOR < held;
    after.set(relayId, isJump ? sample : held + (sample - held) * SAMPLE_WEIGHT);
  }
  return after;
}

/** What the service is told: nearest relays first by name, in whole milliseconds, and the same as before where it still fits. */
export function announceRoundTrips(
  announced: readonly RelayLatency[],
  measured: RoundTrips,
): readonly RelayLatency[] {
  const before = new Map(announced.map((latency) => [latency.relayId, latency.roundTripUs]));
  return [...measured]
    .toSorted(([a, left], [b, right]) => left - right || compareTexts(a, b))
    .slice(0, MAX_ANNOUNCED)
    .map(([relayId, ms]) => ({ relayId, roundTripUs: announcedUs(before.get(relayId), ms) }))
    .toSorted((a, b) => compareTexts(a.relayId, b.relayId));
}

/** Announced round trips in milliseconds. */
export function readAnnounced(latencies: readonly RelayLatency[]): RoundTrips {
  return new Map(
    latencies.map(({ relayId, roundTripUs }) => [relayId, roundTripUs / MICROSECONDS]),
  );
}

/** Order of texts by code units: the same on every machine. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function announcedUs(before: number | undefined, ms: number): number {
  if (before !== undefined) {
    const keptMs = Math.max(KEPT_MS, (before / MICROSECONDS) * KEPT_SHARE);
    if (Math.abs(ms - before / MICROSECONDS) <= keptMs) return before;
  }
  return Math.max(1, Math.round(ms)) * MICROSECONDS;
}

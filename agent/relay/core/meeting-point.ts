import { compareTexts, type RoundTrips } from './round-trips.ts';

/** What both sides of a pair know of one of them, by its announcement. */
export interface RelayStanding {
  /** Empty: none. */
  readonly home: string;
  readonly roundTrips: RoundTrips;
}

/** A round trip that nobody told: worse than any real one. */
const UNKNOWN_MS = 10_000;

/**
 * Where a pair meets: the better of both homes, by the sum of the round trips of both sides, ties by name. Where neither
 * home is usable, the best usable relay. Both sides come to the same from the same announcements, because the order of
 * the two does not matter. Undefined: there is none.
 */
export function meetingPoint(
  own: RelayStanding,
  peer: RelayStanding,
  usable: ReadonlySet<string>,
): string | undefined {
  const homes = [own.home, peer.home].filter((relayId) => usable.has(relayId));
  const candidates = homes.length > 0 ? homes : [...usable];
  const sumMs = (relayId: string): number =>
    (own.roundTrips.get(relayId) ?? UNKNOWN_MS) + (peer.roundTrips.get(relayId) ?? UNKNOWN_MS);
  return candidates.toSorted((a, b) => sumMs(a) - sumMs(b) || compareTexts(a, b))[0];
}

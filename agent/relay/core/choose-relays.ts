import { compareTexts, type RoundTrips } from './round-trips.ts';

/** The relays that a device stays attached to. */
export interface RelayChoice {
  /** Nearest: where it is invited. */
  readonly home: string | undefined;
  /** Next: takes over at once when the home dies. */
  readonly second: string | undefined;
}

/** Nobody yet. */
export const NO_CHOICE: RelayChoice = { home: undefined, second: undefined };

/** A relay replaces another only if it is nearer by more than both (issue: no flapping between equals). */
const LEAST_GAIN_MS = 10;
const LEAST_GAIN_SHARE = 0.2;

/** Chooses among the usable relays; a chosen one stays until it is unusable or another is clearly nearer. */
export function chooseRelays(
  before: RelayChoice,
  usable: ReadonlySet<string>,
  roundTrips: RoundTrips,
): RelayChoice {
  const home = chooseOne(before.home, usable, roundTrips);
  const others = new Set([...usable].filter((relayId) => relayId !== home));
  // Where the home moved to the second, the home before is the natural second, if it still works.
  const keep = before.second === home ? before.home : before.second;
  return { home, second: chooseOne(keep, others, roundTrips) };
}

function chooseOne(
  held: string | undefined,
  usable: ReadonlySet<string>,
  roundTrips: RoundTrips,
): string | undefined {
  const ms = (relayId: string): number => roundTrips.get(relayId) ?? Infinity;
  const [best] = [...usable].toSorted((a, b) => compareMs(ms(a), ms(b)) || compareTexts(a, b));
  if (held === undefined || best === undefined || !usable.has(held)) return best;
  if (ms(held) === Infinity) return best;
  const gainMs = ms(held) - ms(best);
  return gainMs > LEAST_GAIN_MS && gainMs > ms(held) * LEAST_GAIN_SHARE ? best : held;
}

function compareMs(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

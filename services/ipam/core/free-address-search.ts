/**
 * Finds the next free address of a range.
 *
 * The search begins at a cursor that stands behind the address given last, goes to the end of the range and wraps once.
 * So an address that was given back is given again as late as possible, and finding the next one usually means looking
 * at one row, whatever the size of the range and however many addresses are taken. Only behind a wrap does it walk over
 * runs of taken addresses, in portions that grow.
 *
 * IPv6 uses the same walk: addresses are consecutive, not derived from the owner. Nothing rests on their being hard to
 * guess, since a device sees only the peers that policy shows it; and a walk works in a /120 as in a /64.
 */
import { type IpAddress, type IpFamily, ipAddressFromValue } from '@nexodus/netip';
import type { UsableRange } from './address-pool.ts';

/** What the search asks: the first taken addresses from one on, ascending. */
export interface TakenQuery<F extends IpFamily> {
  readonly from: IpAddress<F>;
  /** At most this many. Fewer in the answer mean that there are no more. */
  readonly limit: number;
}

/** First portion: in the common case not one address from the cursor on is taken. */
const firstPortion = 8;
/** Largest portion: about 100 kB of rows. */
const largestPortion = 4_096;

/**
 * Asks for taken addresses until it knows a free one, which it returns; undefined when there is none.
 *
 * @param cursor where to begin; outside the range means at its first address
 */
export function* searchFreeAddress<F extends IpFamily>(
  range: UsableRange<F>,
  cursor: IpAddress<F>,
): Generator<TakenQuery<F>, IpAddress<F> | undefined, readonly IpAddress<F>[]> {
  const isInside = cursor.value >= range.first.value && cursor.value <= range.last.value;
  const start = isInside ? cursor.value : range.first.value;
  const found =
    (yield* searchSpan(range.first.family, start, range.last.value)) ??
    (yield* searchSpan(range.first.family, range.first.value, start - 1n));
  return found === undefined ? undefined : ipAddressFromValue(range.first.family, found);
}

/** Where the next search begins after an address was given. */
export function cursorAfter<F extends IpFamily>(
  range: UsableRange<F>,
  given: IpAddress<F>,
): IpAddress<F> {
  return given.value >= range.last.value
    ? range.first
    : ipAddressFromValue(given.family, given.value + 1n);
}

function* searchSpan<F extends IpFamily>(
  family: F,
  from: bigint,
  to: bigint,
): Generator<TakenQuery<F>, bigint | undefined, readonly IpAddress<F>[]> {
  let at = from;
  let limit = firstPortion;
  while (at <= to) {
    const taken = yield { from: ipAddressFromValue(family, at), limit };
    const free = firstGap(at, taken);
    if (free > to) return undefined;
    const lastSeen = taken.at(-1)?.value;
    if (taken.length < limit || lastSeen === undefined || free < lastSeen) return free;
    at = free;
    limit = Math.min(limit * 8, largestPortion);
  }
  return undefined;
}

/** The least number from `at` on that is none of the ascending ones. */
function firstGap(at: bigint, taken: readonly IpAddress[]): bigint {
  let free = at;
  for (const { value } of taken) {
    if (value !== free) break;
    free += 1n;
  }
  return free;
}

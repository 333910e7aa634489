import { InvalidAddressError } from './invalid-address-error.ts';
import {
  compareIpAddresses,
  formatIpAddress,
  ipAddressesEqual,
  parseIpAddress,
} from './ip-address.ts';
import type { IpAddress } from './ip-address.ts';
import { lastAddress, parseIpPrefix } from './ip-prefix.ts';
import type { IpPrefix } from './ip-prefix.ts';

declare const rangeBrand: unique symbol;

/** All addresses from `first` to `last`, both included and of one family. */
export interface IpRange {
  readonly first: IpAddress;
  readonly last: IpAddress;
  readonly [rangeBrand]: true;
}

/** The range of two addresses. Throws InvalidAddressError(`not-a-range`). */
function createIpRange(first: IpAddress, last: IpAddress): IpRange {
  if (first.family !== last.family || first.value > last.value) {
    throw new InvalidAddressError(
      'not-a-range',
      'A range goes from an address to a higher one of the same family.',
    );
  }
  return { first, last } as IpRange;
}

/** The range of a prefix. */
export function rangeOfPrefix(prefix: IpPrefix): IpRange {
  return createIpRange(prefix.address, lastAddress(prefix));
}

/** Reads "first-last", a prefix, or one address, as rules are written. Throws InvalidAddressError. */
export function parseIpRange(text: string): IpRange {
  if (text.includes('/')) return rangeOfPrefix(parseIpPrefix(text));
  const ends = text.split('-');
  if (ends.length > 2) {
    throw new InvalidAddressError(
      'not-a-range',
      'A range is "first-last", a prefix or an address.',
    );
  }
  const [first, last = first] = ends.map((end) => parseIpAddress(end.trim()));
  if (first === undefined || last === undefined) {
    throw new InvalidAddressError(
      'not-a-range',
      'A range is "first-last", a prefix or an address.',
    );
  }
  return createIpRange(first, last);
}

/** The canonical text: "first-last", or the one address. */
export function formatIpRange(range: IpRange): string {
  const first = formatIpAddress(range.first);
  return ipAddressesEqual(range.first, range.last)
    ? first
    : `${first}-${formatIpAddress(range.last)}`;
}

/** Whether the address lies in the range. Never across families. */
export function rangeContains(range: IpRange, address: IpAddress): boolean {
  return (
    address.family === range.first.family &&
    compareIpAddresses(range.first, address) <= 0 &&
    compareIpAddresses(address, range.last) <= 0
  );
}

/** Whether two ranges have an address in common. */
export function rangesOverlap(left: IpRange, right: IpRange): boolean {
  return rangeContains(left, right.first) || rangeContains(right, left.first);
}

import { InvalidAddressError } from './invalid-address-error.ts';
import {
  addressBits,
  compareIpAddresses,
  formatIpAddress,
  ipAddressFromValue,
  parseIpAddress,
} from './ip-address.ts';
import type { IpAddress, IpFamily } from './ip-address.ts';

declare const prefixBrand: unique symbol;

/**
 * A CIDR prefix: its first address and its length in bits. No bit behind the length is set. As
 * the key of a Map, and in JSON, use `formatIpPrefix`.
 */
export interface IpPrefix<F extends IpFamily = IpFamily> {
  readonly address: IpAddress<F>;
  readonly length: number;
  readonly [prefixBrand]: true;
}

/** An IPv4 prefix. */
export type Ipv4Prefix = IpPrefix<4>;

/** An IPv6 prefix. */
export type Ipv6Prefix = IpPrefix<6>;

/**
 * Reads "address/length". Throws InvalidAddressError; `host-bits` names the prefix that was
 * probably meant.
 */
export function parseIpPrefix(text: string): IpPrefix {
  const [, addressText, lengthText] = /^([^/]{1,64})\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  if (addressText === undefined || lengthText === undefined) {
    throw new InvalidAddressError('not-a-prefix', `This is not a prefix such as 10.0.0.0/8.`);
  }
  const address = parseIpAddress(addressText);
  const prefix = prefixOf(address, Number(lengthText));
  if (prefix.address.value !== address.value) {
    throw new InvalidAddressError(
      'host-bits',
      `"${text}" has bits set behind its length; the prefix is ${formatIpPrefix(prefix)}.`,
    );
  }
  return prefix;
}

/** The canonical text: "address/length". */
export function formatIpPrefix(prefix: IpPrefix): string {
  return `${formatIpAddress(prefix.address)}/${prefix.length}`;
}

/** The prefix of this length around an address. Throws InvalidAddressError(`out-of-range`). */
export function prefixOf<F extends IpFamily>(address: IpAddress<F>, length: number): IpPrefix<F> {
  const bits = addressBits(address.family);
  if (!Number.isInteger(length) || length < 0 || length > bits) {
    throw new InvalidAddressError(
      'out-of-range',
      `A prefix of IPv${address.family} has 0 to ${bits} bits.`,
    );
  }
  const hostBits = BigInt(bits - length);
  const first = ipAddressFromValue(address.family, (address.value >> hostBits) << hostBits);
  return { address: first, length } as IpPrefix<F>;
}

/** The /32 or /128 of one address. */
export function hostPrefix<F extends IpFamily>(address: IpAddress<F>): IpPrefix<F> {
  return prefixOf(address, addressBits(address.family));
}

/** Number of addresses in the prefix. */
export function prefixSize(prefix: IpPrefix): bigint {
  return 1n << BigInt(addressBits(prefix.address.family) - prefix.length);
}

/** The last address of the prefix; its first is `prefix.address`. */
export function lastAddress<F extends IpFamily>(prefix: IpPrefix<F>): IpAddress<F> {
  return nthAddress(prefix, prefixSize(prefix) - 1n);
}

/** The address `index` places after the first. Throws InvalidAddressError(`out-of-range`). */
export function nthAddress<F extends IpFamily>(prefix: IpPrefix<F>, index: bigint): IpAddress<F> {
  if (index < 0n || index >= prefixSize(prefix)) {
    throw new InvalidAddressError(
      'out-of-range',
      `${formatIpPrefix(prefix)} has no address number ${index}.`,
    );
  }
  return ipAddressFromValue(prefix.address.family, prefix.address.value + index);
}

/** How many places an address lies after the prefix's first; undefined when it is outside. */
export function addressIndex(prefix: IpPrefix, address: IpAddress): bigint | undefined {
  return prefixContains(prefix, address) ? address.value - prefix.address.value : undefined;
}

/** Whether the address lies in the prefix. Never across families. */
export function prefixContains(prefix: IpPrefix, address: IpAddress): boolean {
  if (address.family !== prefix.address.family) return false;
  const offset = address.value - prefix.address.value;
  return offset >= 0n && offset < prefixSize(prefix);
}

/** Whether all of `inner` lies in `outer`; a prefix contains itself. */
export function prefixContainsPrefix(outer: IpPrefix, inner: IpPrefix): boolean {
  return inner.length >= outer.length && prefixContains(outer, inner.address);
}

/** Whether two prefixes have an address in common: one of them then contains the other. */
export function prefixesOverlap(left: IpPrefix, right: IpPrefix): boolean {
  return prefixContainsPrefix(left, right) || prefixContainsPrefix(right, left);
}

/** Negative, zero or positive: by first address, shorter lengths first. For `sort`. */
export function compareIpPrefixes(left: IpPrefix, right: IpPrefix): number {
  return compareIpAddresses(left.address, right.address) || left.length - right.length;
}

/**
 * The subnet of `length` bits with this number, counted from 0 at the prefix's first address.
 * Throws InvalidAddressError(`out-of-range`).
 */
export function nthSubnet<F extends IpFamily>(
  prefix: IpPrefix<F>,
  length: number,
  index: bigint,
): IpPrefix<F> {
  const count = subnetCount(prefix, length);
  if (index < 0n || index >= count) {
    throw new InvalidAddressError(
      'out-of-range',
      `${formatIpPrefix(prefix)} has no /${length} number ${index}.`,
    );
  }
  const size = prefixSize(prefix) / count;
  return prefixOf(nthAddress(prefix, index * size), length);
}

/** All subnets of `length` bits in order, made as they are asked for. Throws as `nthSubnet`. */
export function* subnetsOf<F extends IpFamily>(
  prefix: IpPrefix<F>,
  length: number,
): Generator<IpPrefix<F>, void, undefined> {
  const count = subnetCount(prefix, length);
  for (let index = 0n; index < count; index += 1n) yield nthSubnet(prefix, length, index);
}

function subnetCount(prefix: IpPrefix, length: number): bigint {
  const bits = addressBits(prefix.address.family);
  if (!Number.isInteger(length) || length < prefix.length || length > bits) {
    throw new InvalidAddressError(
      'out-of-range',
      `Subnets of ${formatIpPrefix(prefix)} have ${prefix.length} to ${bits} bits.`,
    );
  }
  return 1n << BigInt(length - prefix.length);
}

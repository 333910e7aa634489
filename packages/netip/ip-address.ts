import ipaddr from 'ipaddr.js';
import { InvalidAddressError } from './invalid-address-error.ts';

declare const addressBrand: unique symbol;

/** 4 or 6. */
export type IpFamily = 4 | 6;

/**
 * One address: its family and its value as an unsigned number of 32 or 128 bits. Made only by
 * this package's functions, so always in range. Compare with `compareIpAddresses`; as the key of
 * a Map, and in JSON, use `formatIpAddress`.
 */
export interface IpAddress<F extends IpFamily = IpFamily> {
  readonly family: F;
  readonly value: bigint;
  readonly [addressBrand]: true;
}

/** An IPv4 address. */
export type Ipv4Address = IpAddress<4>;

/** An IPv6 address, without zone. */
export type Ipv6Address = IpAddress<6>;

const MAX_TEXT_CHARACTERS = 64;
const MAPPED_PREFIX = 0xffffn;

/** Bits of an address: 32 or 128. */
export function addressBits(family: IpFamily): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** The address of a number. Throws InvalidAddressError(`out-of-range`). */
export function ipAddressFromValue<F extends IpFamily>(family: F, value: bigint): IpAddress<F> {
  if (value < 0n || value >> BigInt(addressBits(family)) !== 0n) {
    throw new InvalidAddressError('out-of-range', `No IPv${family} address has this value.`);
  }
  return { family, value } as IpAddress<F>;
}

/** The address of 4 or 16 bytes in network order. Throws InvalidAddressError(`not-an-address`). */
export function ipAddressFromBytes(bytes: Uint8Array): IpAddress {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new InvalidAddressError('not-an-address', 'An address is 4 or 16 bytes.');
  }
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return ipAddressFromValue(bytes.length === 4 ? 4 : 6, value);
}

/** The 4 or 16 bytes of an address in network order. */
export function ipAddressToBytes(address: IpAddress): Uint8Array {
  const length = addressBits(address.family) / 8;
  return Uint8Array.from({ length }, (_unused, index) =>
    Number((address.value >> BigInt(8 * (length - 1 - index))) & 0xffn),
  );
}

/**
 * Reads four decimal numbers without leading zeros, or any text form of RFC 4291 section 2.2.
 * Throws InvalidAddressError: `zone` for "fe80::1%eth0", else `not-an-address`. An IPv4-mapped
 * IPv6 address stays one; see `unmapIpv4`.
 */
export function parseIpAddress(text: string): IpAddress {
  if (text.length > MAX_TEXT_CHARACTERS) throw notAnAddress(text);
  if (text.includes('%')) {
    throw new InvalidAddressError('zone', `"${text}" has a zone; give the address without it.`);
  }
  const parsed = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  if (parsed === undefined) throw notAnAddress(text);
  return ipAddressFromBytes(Uint8Array.from(parsed.toByteArray()));
}

/** The one text of an address: decimal, or RFC 5952 (IPv4-mapped ones as its section 5 says). */
export function formatIpAddress(address: IpAddress): string {
  const bytes = [...ipAddressToBytes(address)];
  if (address.family === 4) return bytes.join('.');
  if (address.value >> 32n === MAPPED_PREFIX) return `::ffff:${bytes.slice(12).join('.')}`;
  return ipaddr.fromByteArray(bytes).toString();
}

/** Negative, zero or positive: IPv4 before IPv6, then by value. For `sort`. */
export function compareIpAddresses(left: IpAddress, right: IpAddress): number {
  if (left.family !== right.family) return left.family - right.family;
  if (left.value === right.value) return 0;
  return left.value < right.value ? -1 : 1;
}

/** Whether both are the same address of the same family. */
export function ipAddressesEqual(left: IpAddress, right: IpAddress): boolean {
  return compareIpAddresses(left, right) === 0;
}

/**
 * The IPv4 address inside an IPv4-mapped IPv6 one (RFC 4291 section 2.5.5.2), as dual-stack
 * sockets report IPv4 peers; any other address as it is.
 */
export function unmapIpv4(address: IpAddress): IpAddress {
  if (address.family === 4 || address.value >> 32n !== MAPPED_PREFIX) return address;
  return ipAddressFromValue(4, address.value & 0xffff_ffffn);
}

function parseIpv4(text: string): ipaddr.IPv4 | undefined {
  return ipaddr.IPv4.isValidFourPartDecimal(text) ? ipaddr.IPv4.parse(text) : undefined;
}

function parseIpv6(text: string): ipaddr.IPv6 | undefined {
  const hexText = text.includes('.') ? embeddedIpv4ToHex(text) : text;
  if (hexText === undefined || hexText.split(':').some((group) => group.length > 4)) {
    return undefined;
  }
  return ipaddr.IPv6.isValid(hexText) ? ipaddr.IPv6.parse(hexText) : undefined;
}

/** The library takes "::192.0.2.1" for "::ffff:192.0.2.1", so it never sees the mixed form. */
function embeddedIpv4ToHex(text: string): string | undefined {
  const start = text.lastIndexOf(':') + 1;
  const ipv4 = parseIpv4(text.slice(start));
  if (ipv4 === undefined) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.octets;
  return `${text.slice(0, start)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

function notAnAddress(text: string): InvalidAddressError {
  const shown = text.length > MAX_TEXT_CHARACTERS ? 'The text' : `"${text}"`;
  return new InvalidAddressError('not-an-address', `${shown} is not an IPv4 or IPv6 address.`);
}

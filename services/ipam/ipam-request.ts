/** Reading of requests: every text is checked here and nowhere else. */
import type { ReserveAddressesRequest } from '@nexodus/contracts/ipam';
import {
  InvalidAddressError,
  type IpAddress,
  type IpFamily,
  parseAssignablePrefix,
  parseIpAddress,
} from '@nexodus/netip';
import { type FieldViolation, invalidArgument } from '@nexodus/rpc';
import type { Reservation } from './address-book.ts';
import { type AddressPool, isAddressOf } from './core/address-pool.ts';
import { type OwnerId, parseOwnerId, parsePoolId, type PoolId } from './core/ids.ts';

/** Life of a lease that the request does not state, and the longest that it may state (ipam.proto). */
const defaultLeaseMs = 60_000;
const longestLeaseMs = 600_000;

/** Largest page, and the size of one whose size the request does not state (ipam.proto). */
const largestPage = 1_000;

/** Reads a pool id. Throws INVALID_ARGUMENT. */
export function readPoolId(text: string): PoolId {
  const id = parsePoolId(text);
  if (id === undefined) throw invalidField('pool_id', 'must be a UUID in lower case');
  return id;
}

/** Reads an owner id. Throws INVALID_ARGUMENT. */
export function readOwnerId(text: string): OwnerId {
  const id = parseOwnerId(text);
  if (id === undefined) throw invalidField('owner_id', 'must be a UUID in lower case');
  return id;
}

/** Reads a pool with its prefixes. Throws INVALID_ARGUMENT that names all that is wrong with them. */
export function readPool(request: {
  poolId: string;
  ipv4Prefix: string;
  ipv6Prefix: string;
}): AddressPool {
  const id = readPoolId(request.poolId);
  const ipv4 = parseAssignablePrefix(4, request.ipv4Prefix);
  const ipv6 = parseAssignablePrefix(6, request.ipv6Prefix);
  if ('prefix' in ipv4 && 'prefix' in ipv6) {
    return { id, ipv4Prefix: ipv4.prefix, ipv6Prefix: ipv6.prefix };
  }
  const violations: FieldViolation[] = [];
  if ('problem' in ipv4) violations.push({ field: 'ipv4_prefix', description: ipv4.problem });
  if ('problem' in ipv6) violations.push({ field: 'ipv6_prefix', description: ipv6.problem });
  throw invalidArgument(violations);
}

/** Reads what is to be reserved. Throws INVALID_ARGUMENT. */
export function readReservation(request: ReserveAddressesRequest): Reservation {
  return {
    ownerId: readOwnerId(request.ownerId),
    wanted: {
      ipv4: readWanted(4, request.ipv4Address),
      ipv6: readWanted(6, request.ipv6Address),
    },
    leaseMs: readLease(request.lease),
  };
}

/** Reads a page size. Throws INVALID_ARGUMENT. */
export function readPageSize(size: number): number {
  if (size < 0) throw invalidField('page_size', 'must not be negative');
  return size === 0 ? largestPage : Math.min(size, largestPage);
}

/** Reads the IPv4 address in an optional field; undefined for an empty one. Throws INVALID_ARGUMENT. */
export function readAddress<F extends IpFamily>(
  family: F,
  field: string,
  text: string,
): IpAddress<F> | undefined {
  if (text === '') return undefined;
  const address = parseOrViolate(field, text);
  if (isAddressOf(address, family)) return address;
  throw invalidField(field, `must be an IPv${family} address`);
}

/** INVALID_ARGUMENT about one field. */
export function invalidField(field: string, description: string): Error {
  return invalidArgument([{ field, description }]);
}

function readWanted<F extends IpFamily>(family: F, text: string): IpAddress<F> | undefined {
  return readAddress(family, `ipv${family}_address`, text);
}

function parseOrViolate(field: string, text: string): IpAddress {
  try {
    return parseIpAddress(text);
  } catch (error) {
    if (error instanceof InvalidAddressError) throw invalidField(field, error.message);
    throw error;
  }
}

function readLease(lease: { seconds: bigint; nanos: number } | undefined): number {
  if (lease === undefined) return defaultLeaseMs;
  const leaseMs = Number(lease.seconds) * 1_000 + Math.trunc(lease.nanos / 1e6);
  if (leaseMs > 0 && leaseMs <= longestLeaseMs) return leaseMs;
  throw invalidField('lease', 'must be at least 1 ms and at most 10 minutes');
}

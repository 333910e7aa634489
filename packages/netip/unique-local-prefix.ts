import { InvalidAddressError } from './invalid-address-error.ts';
import { ipAddressFromValue } from './ip-address.ts';
import { prefixOf } from './ip-prefix.ts';
import type { Ipv6Prefix } from './ip-prefix.ts';

/** Bytes of randomness in a unique local prefix: its 40-bit global id (RFC 4193 section 3.1). */
export const GLOBAL_ID_BYTES = 5;

/**
 * The locally assigned unique local prefix, a /48 of fd00::/8, with this 40-bit global id
 * (RFC 4193 section 3.1). The id must be random; `nthSubnet(prefix, 64, n)` gives its /64s.
 * Throws InvalidAddressError(`out-of-range`) unless it is 5 bytes.
 */
export function uniqueLocalPrefix(globalId: Uint8Array): Ipv6Prefix {
  if (globalId.length !== GLOBAL_ID_BYTES) {
    throw new InvalidAddressError('out-of-range', `A global id is ${GLOBAL_ID_BYTES} bytes.`);
  }
  const id = globalId.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return prefixOf(ipAddressFromValue(6, (0xfdn << 120n) | (id << 80n)), 48);
}

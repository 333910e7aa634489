import { crc32 } from 'node:zlib';

/** XORed into the checksum, so that it differs from another protocol's CRC at the same place. */
const FINGERPRINT_MASK = 0x5354_554e;

/** Value of FINGERPRINT for the bytes before it (RFC 8489 section 14.7). */
export function fingerprintOf(bytesBefore: Uint8Array): number {
  return (crc32(bytesBefore) ^ FINGERPRINT_MASK) >>> 0;
}

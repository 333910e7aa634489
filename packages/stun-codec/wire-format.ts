/** Numbers of the header and of attributes (RFC 8489 sections 5 and 14). */

/** Message type, message length, magic cookie, transaction id. */
export const HEADER_BYTES = 20;
/** Type and length before each attribute's value. */
export const ATTRIBUTE_HEADER_BYTES = 4;
/** The magic cookie. */
export const MAGIC_COOKIE = 0x2112_a442;
/** FINGERPRINT with its header. */
export const FINGERPRINT_BYTES = 8;
/** Longest text of SOFTWARE and of a reason phrase (sections 14.8 and 14.14). */
export const MAX_TEXT_BYTES = 763;
/** Flags of CHANGE-REQUEST (RFC 5780 section 7.2). */
export const CHANGE_ADDRESS = 0x04;
/** See {@link CHANGE_ADDRESS}. */
export const CHANGE_PORT = 0x02;
/** Address families of XOR-MAPPED-ADDRESS (section 14.1). */
export const FAMILY_IPV4 = 0x01;
/** See {@link FAMILY_IPV4}. */
export const FAMILY_IPV6 = 0x02;

/** Length of a value with its padding to a multiple of 4. */
export function paddedLength(length: number): number {
  return (length + 3) & ~3;
}

/** What a 128-bit address is combined with: cookie and transaction id (section 14.2). */
export function xorMask128(transactionId: Uint8Array): bigint {
  return transactionId.reduce((mask, byte) => (mask << 8n) | BigInt(byte), BigInt(MAGIC_COOKIE));
}

/** XORed into the checksum, so that it differs from another protocol's CRC at the same place. */
const FINGERPRINT_MASK = 0x5354_554e;

/** CRC-32 of ITU-T V.42, as in Ethernet; its polynomial with the lowest power first. */
const POLYNOMIAL = 0xedb8_8320;

/** Remainders of each byte followed by 0, 1, 2 and 3 zero bytes: four bytes take one step ("slicing by 4"). */
const REMAINDERS = remainders();

/**
 * Value of FINGERPRINT for the bytes from `start` to `end` (RFC 8489 section 14.7). Calculated here and not by the
 * platform: a server does it for each answer, and a call with a slice of a buffer costs more than these few bytes.
 */
export function fingerprintOf(bytes: DataView, start: number, end: number): number {
  let crc = -1;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    crc ^= bytes.getInt32(at, true);
    crc =
      remainder(3, crc & 0xff) ^
      remainder(2, (crc >>> 8) & 0xff) ^
      remainder(1, (crc >>> 16) & 0xff) ^
      remainder(0, crc >>> 24);
  }
  for (; at < end; at += 1) crc = remainder(0, (crc ^ bytes.getUint8(at)) & 0xff) ^ (crc >>> 8);
  return (~crc ^ FINGERPRINT_MASK) >>> 0;
}

function remainder(zeroBytes: number, byte: number): number {
  return REMAINDERS[(zeroBytes << 8) | byte] ?? 0;
}

function remainders(): Int32Array {
  const table = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
    table[byte] = crc;
  }
  for (let index = 256; index < table.length; index += 1) {
    const before = table[index - 256] ?? 0;
    table[index] = (table[before & 0xff] ?? 0) ^ (before >>> 8);
  }
  return table;
}

/**
 * The first four bytes of every datagram of ours that shares a port with WireGuard. No WireGuard message begins with a
 * byte above 4, and STUN's first two bits are zero, so neither can be taken for it.
 */
export const DATAGRAM_MAGIC = 0xf557_4d31;

/**
 * The fifth byte: what the datagram is. Up to 0x1f it concerns a relay (0x12: the agent's lane notice); 0x20 to 0x2f are
 * probes between devices (packages/probe).
 */
export const datagramType = { registration: 0x10, registrationAnswer: 0x11 } as const;

/** Writes magic and type. */
export function writeHeader(view: DataView, type: number): void {
  view.setUint32(0, DATAGRAM_MAGIC);
  view.setUint8(4, type);
}

/** Whether the bytes are a datagram of this type and length. */
export function hasHeader(bytes: Uint8Array, type: number, length: number): boolean {
  return (
    bytes.length === length &&
    bytes[0] === DATAGRAM_MAGIC >>> 24 &&
    bytes[1] === ((DATAGRAM_MAGIC >>> 16) & 0xff) &&
    bytes[2] === ((DATAGRAM_MAGIC >>> 8) & 0xff) &&
    bytes[3] === (DATAGRAM_MAGIC & 0xff) &&
    bytes[4] === type
  );
}

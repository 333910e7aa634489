/**
 * What a WireGuard datagram shows to whoever carries it: its type, its length and the indexes by which the ends find
 * their sessions (the WireGuard paper, section 5.4). Everything else is ciphertext.
 */

/** The first byte of a message; the three after it are zero. */
const messageType = {
  initiation: 1,
  response: 2,
  cookieReply: 3,
  data: 4,
} as const;

/** Length of a handshake initiation (section 5.4.2). */
export const INITIATION_BYTES = 148;
/** Length of a handshake response (section 5.4.3). */
const RESPONSE_BYTES = 92;
/** Length of a cookie reply (section 5.4.7). */
const COOKIE_REPLY_BYTES = 64;
/** Length of the smallest data message, a keepalive (section 5.4.6). No WireGuard message is shorter. */
export const SMALLEST_DATA_BYTES = 32;
/** Length of each of mac1 and mac2, the last two fields of both handshake messages (section 5.4.4). */
export const MAC_BYTES = 16;

/** A datagram in a larger array, such as a receive arena. */
export interface MessageView {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** Kind of a WireGuard message by its type and length; undefined for everything else. */
export type MessageKind = keyof typeof messageType;

/** Which message a datagram is, by its first four bytes and its length. Says nothing about its authenticity. */
export function messageKind({ bytes, offset, length }: MessageView): MessageKind | undefined {
  if (length < SMALLEST_DATA_BYTES) return undefined;
  if (bytes[offset + 1] !== 0 || bytes[offset + 2] !== 0 || bytes[offset + 3] !== 0) {
    return undefined;
  }
  switch (bytes[offset]) {
    case messageType.data:
      return 'data';
    case messageType.initiation:
      return length === INITIATION_BYTES ? 'initiation' : undefined;
    case messageType.response:
      return length === RESPONSE_BYTES ? 'response' : undefined;
    case messageType.cookieReply:
      return length === COOKIE_REPLY_BYTES ? 'cookieReply' : undefined;
    default:
      return undefined;
  }
}

/** The index that the sender of an initiation or a response chose for itself. */
export function senderIndex({ bytes, offset }: MessageView): number {
  return littleEndian32(bytes, offset + 4);
}

/** The index by which the receiver knows a response, a cookie reply or a data message. */
export function receiverIndex({ bytes, offset }: MessageView, kind: MessageKind): number {
  return littleEndian32(bytes, offset + (kind === 'response' ? 8 : 4));
}

function littleEndian32(bytes: Uint8Array, offset: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [
    bytes[offset],
    bytes[offset + 1],
    bytes[offset + 2],
    bytes[offset + 3],
  ];
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

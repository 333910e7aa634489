/** The one byte at the head of a frame that says what follows. */
export const frameType = {
  /** Server to client, first: 8 bytes of magic, 32 of the server's key; more may follow and is ignored. */
  serverKey: 0x01,
  /** Client to server, second: 32 bytes of the client's key, then a box with its info. */
  clientInfo: 0x02,
  /** Server to client, third: a box with the server's info. */
  serverInfo: 0x03,
  /** Client to server: 32 bytes of the destination's key, then the packet. */
  sendPacket: 0x04,
  /** Server to client: 32 bytes of the source's key, then the packet. */
  receivePacket: 0x05,
  /** Server to client: nothing. */
  keepAlive: 0x06,
  /** Client to server: one byte, 1 where this server is the client's home and 0 where it is not. */
  notePreferred: 0x07,
  /** Server to client: 32 bytes of a peer's key, then a byte with the reason; older servers leave the reason out. */
  peerGone: 0x08,
  /** Server to a trusted client: a peer has connected. */
  peerPresent: 0x09,
  /** Between servers that trust each other: a packet with source and destination. */
  forwardPacket: 0x0a,
  /** From a trusted client: it wants to hear who connects. */
  watchConnections: 0x10,
  /** From a trusted client: a peer's connection is to be closed. */
  closePeer: 0x11,
  /** Either way: 8 bytes that a pong gives back. */
  ping: 0x12,
  /** Either way: the 8 bytes of the ping. */
  pong: 0x13,
  /** Server to client: what is wrong with the connection, as text; empty where nothing is any more. */
  health: 0x14,
  /** Server to client: two 32-bit numbers of milliseconds, when to connect again and for how long to try. */
  restarting: 0x15,
} as const;

/** The version of the protocol in which a received packet begins with the key of its source. */
export const DERP_VERSION = 2;

/** "DERP" and the sign of a key in UTF-8: how the server's first frame begins. */
export const MAGIC: readonly number[] = [0x44, 0x45, 0x52, 0x50, 0xf0, 0x9f, 0x94, 0x91];

/** Type, and the length of what follows in big endian. */
export const FRAME_HEADER_BYTES = 5;

/** Size of a public key. */
export const KEY_BYTES = 32;

/** Bytes of a frame with a packet before the packet itself: header and key. */
export const PACKET_OVERHEAD_BYTES = FRAME_HEADER_BYTES + KEY_BYTES;

/** Largest packet that may be sent. */
export const MAX_PACKET_BYTES = 65_536;

/** Largest payload of a frame after the handshake. */
export const MAX_PAYLOAD_BYTES = KEY_BYTES + MAX_PACKET_BYTES;

/**
 * Largest payload of a frame of the handshake. The protocol allows 1 MiB of info; what is known to be sent is below 200
 * bytes, and before the handshake is over nobody should be able to make the other keep more.
 */
export const MAX_HANDSHAKE_PAYLOAD_BYTES = 16_384;

/** What a ping carries. */
export const PING_BYTES = 8;

/** Longest text of a health frame that is written or shown. */
export const MAX_HEALTH_BYTES = 1_024;

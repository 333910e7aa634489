import { DerpFormatError } from './derp-format-error.ts';
import { peerGoneCode, type PeerGoneReason } from './encode-frame.ts';
import { payloadOf, type Frame } from './frame-reader.ts';
import { KEY_BYTES, MAX_HEALTH_BYTES, PING_BYTES, frameType } from './wire-format.ts';

/**
 * What a client says after the handshake. `unknown`: a frame of a later version, to be ignored; `forbidden`: one that only
 * servers may send to each other.
 */
export type ClientMessage =
  | { readonly kind: 'send-packet' }
  | { readonly kind: 'ping' | 'pong'; readonly data: Uint8Array }
  | { readonly kind: 'note-preferred'; readonly isPreferred: boolean }
  | { readonly kind: 'unknown' | 'forbidden' };

/**
 * What a server says after the handshake; keys and packets lie in the memory of the frame. A peer that is gone for a
 * reason of a later version is `not-here`: both mean that nothing reaches it this way.
 */
export type ServerMessage =
  | { readonly kind: 'packet'; readonly source: Uint8Array; readonly packet: Uint8Array }
  | { readonly kind: 'keep-alive' | 'unknown' }
  | { readonly kind: 'ping' | 'pong'; readonly data: Uint8Array }
  | { readonly kind: 'peer-gone'; readonly peer: Uint8Array; readonly reason: PeerGoneReason }
  | { readonly kind: 'health'; readonly problem: string }
  | { readonly kind: 'restarting'; readonly reconnectInMs: number; readonly tryForMs: number };

/** Frames of servers among themselves, or of clients that a server trusts as one. */
const BETWEEN_SERVERS: ReadonlySet<number> = new Set([
  frameType.forwardPacket,
  frameType.watchConnections,
  frameType.closePeer,
]);

/** Frames that come once, in the handshake. */
const OF_HANDSHAKE: ReadonlySet<number> = new Set([
  frameType.serverKey,
  frameType.clientInfo,
  frameType.serverInfo,
]);

/**
 * Reads a frame of a client that has shaken hands.
 *
 * @throws {DerpFormatError}
 */
export function decodeClientMessage(frame: Frame): ClientMessage {
  const payload = payloadOf(frame);
  switch (frame.type) {
    case frameType.sendPacket:
      requireLength(payload, KEY_BYTES);
      return { kind: 'send-packet' };
    case frameType.ping:
      return { kind: 'ping', data: pingData(payload) };
    case frameType.pong:
      return { kind: 'pong', data: pingData(payload) };
    case frameType.notePreferred:
      requireLength(payload, 1);
      return { kind: 'note-preferred', isPreferred: payload[0] !== 0 };
    default:
      requireAfterHandshake(frame);
      return { kind: BETWEEN_SERVERS.has(frame.type) ? 'forbidden' : 'unknown' };
  }
}

/**
 * Reads a frame of a server that has shaken hands.
 *
 * @throws {DerpFormatError}
 */
export function decodeServerMessage(frame: Frame): ServerMessage {
  const payload = payloadOf(frame);
  switch (frame.type) {
    case frameType.receivePacket:
      requireLength(payload, KEY_BYTES);
      return {
        kind: 'packet',
        source: payload.subarray(0, KEY_BYTES),
        packet: payload.subarray(KEY_BYTES),
      };
    case frameType.keepAlive:
      return { kind: 'keep-alive' };
    case frameType.ping:
      return { kind: 'ping', data: pingData(payload) };
    case frameType.pong:
      return { kind: 'pong', data: pingData(payload) };
    case frameType.peerGone:
      requireLength(payload, KEY_BYTES);
      return {
        kind: 'peer-gone',
        peer: payload.subarray(0, KEY_BYTES),
        reason: peerGoneReason(payload[KEY_BYTES]),
      };
    case frameType.health:
      return { kind: 'health', problem: decodeHealth(payload) };
    case frameType.restarting:
      return decodeRestarting(payload);
    default:
      requireAfterHandshake(frame);
      return { kind: 'unknown' };
  }
}

/** The text of a health frame, cut to 1,024 bytes, without what could move a terminal. */
export function decodeHealth(payload: Uint8Array): string {
  const text = new TextDecoder().decode(payload.subarray(0, MAX_HEALTH_BYTES));
  return text.replaceAll(/\p{C}/gu, ' ');
}

function pingData(payload: Uint8Array): Uint8Array {
  requireLength(payload, PING_BYTES);
  return new Uint8Array(payload.subarray(0, PING_BYTES));
}

function peerGoneReason(code: number | undefined): PeerGoneReason {
  return code === undefined || code === peerGoneCode.disconnected ? 'disconnected' : 'not-here';
}

function decodeRestarting(payload: Uint8Array): ServerMessage {
  requireLength(payload, 8);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return {
    kind: 'restarting',
    reconnectInMs: view.getUint32(0),
    tryForMs: view.getUint32(4),
  };
}

function requireLength(payload: Uint8Array, least: number): void {
  if (payload.length < least) {
    throw new DerpFormatError('frame', 'A frame is too short for its type.');
  }
}

function requireAfterHandshake({ type }: Frame): void {
  if (OF_HANDSHAKE.has(type)) {
    throw new DerpFormatError('order', 'A frame of the handshake came after it.');
  }
}

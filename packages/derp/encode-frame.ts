import type { X25519PublicKey } from '@nexodus/wireguard';
import {
  FRAME_HEADER_BYTES,
  KEY_BYTES,
  MAX_HEALTH_BYTES,
  PACKET_OVERHEAD_BYTES,
  frameType,
} from './wire-format.ts';

/** Why a peer cannot be reached: it was connected and left, or it is not connected to this server. */
export type PeerGoneReason = 'disconnected' | 'not-here';

/** The byte that stands for each reason. */
export const peerGoneCode = { disconnected: 0x00, 'not-here': 0x01 } as const;

/** Puts a frame together. */
export function encodeFrame(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const frame = new Uint8Array(FRAME_HEADER_BYTES + length);
  writeHeader(frame, 0, { type, payloadBytes: length });
  let offset = FRAME_HEADER_BYTES;
  for (const part of parts) {
    frame.set(part, offset);
    offset += part.length;
  }
  return frame;
}

/**
 * Writes a sendPacket frame at `offset` of `target`, which has `PACKET_OVERHEAD_BYTES` more room than the packet is long,
 * and gives the offset behind it.
 */
export function writeSendPacket(
  target: Uint8Array,
  offset: number,
  packet: { readonly destination: Uint8Array; readonly bytes: Uint8Array },
): number {
  const payloadBytes = KEY_BYTES + packet.bytes.length;
  writeHeader(target, offset, { type: frameType.sendPacket, payloadBytes });
  target.set(packet.destination, offset + FRAME_HEADER_BYTES);
  target.set(packet.bytes, offset + PACKET_OVERHEAD_BYTES);
  return offset + FRAME_HEADER_BYTES + payloadBytes;
}

/**
 * Makes the sendPacket frame that begins at `start` the receivePacket frame that its destination gets, where it lies:
 * both have the same length, so only type and key change.
 */
export function turnIntoReceivePacket(bytes: Uint8Array, start: number, source: Uint8Array): void {
  bytes[start] = frameType.receivePacket;
  bytes.set(source, start + FRAME_HEADER_BYTES);
}

/** A keepAlive frame. */
export function encodeKeepAlive(): Uint8Array {
  return encodeFrame(frameType.keepAlive);
}

/** A ping or a pong with the 8 bytes of the ping. */
export function encodePing(type: 'ping' | 'pong', data: Uint8Array): Uint8Array {
  return encodeFrame(frameType[type], data);
}

/** A notePreferred frame. */
export function encodeNotePreferred(isPreferred: boolean): Uint8Array {
  return encodeFrame(frameType.notePreferred, Uint8Array.of(isPreferred ? 1 : 0));
}

/** A peerGone frame. */
export function encodePeerGone(peer: X25519PublicKey, reason: PeerGoneReason): Uint8Array {
  return encodeFrame(frameType.peerGone, peer, Uint8Array.of(peerGoneCode[reason]));
}

/** A health frame; cut to 1,024 bytes. */
export function encodeHealth(problem: string): Uint8Array {
  const text = new Uint8Array(MAX_HEALTH_BYTES);
  const { written } = new TextEncoder().encodeInto(problem, text);
  return encodeFrame(frameType.health, text.subarray(0, written));
}

/** A restarting frame: when to connect again, and for how long to try before giving this server up. */
export function encodeRestarting(advice: {
  readonly reconnectInMs: number;
  readonly tryForMs: number;
}): Uint8Array {
  const payload = new DataView(new ArrayBuffer(8));
  payload.setUint32(0, advice.reconnectInMs);
  payload.setUint32(4, advice.tryForMs);
  return encodeFrame(frameType.restarting, new Uint8Array(payload.buffer));
}

function writeHeader(
  target: Uint8Array,
  offset: number,
  header: { readonly type: number; readonly payloadBytes: number },
): void {
  target[offset] = header.type;
  target[offset + 1] = header.payloadBytes >>> 24;
  target[offset + 2] = header.payloadBytes >>> 16;
  target[offset + 3] = header.payloadBytes >>> 8;
  target[offset + 4] = header.payloadBytes;
}

/** The little of TURN (RFC 8656) that a client without authentication needs. IPv4 only. */
import { randomBytes } from 'node:crypto';
import type { Endpoint } from './endpoint.ts';

/** The one channel that is used; the range begins with it (RFC 8656 section 12). */
export const CHANNEL = 0x4000;
/** Channel number and length in front of each datagram. */
export const CHANNEL_HEADER_BYTES = 4;

const HEADER_BYTES = 20;
const MAGIC_COOKIE = 0x2112a442;
const ALLOCATE = 0x0003;
const ALLOCATE_SUCCESS = 0x0103;
const CHANNEL_BIND = 0x0009;
const CHANNEL_NUMBER = 0x000c;
const XOR_PEER_ADDRESS = 0x0012;
const XOR_RELAYED_ADDRESS = 0x0016;
const REQUESTED_TRANSPORT = 0x0019;
const LIFETIME = 0x000d;
const PROTOCOL_UDP = 17;
const LIFETIME_SECONDS = 3_600;

/** Asks for a relayed address. */
export function allocateRequest(): Uint8Array {
  return request(ALLOCATE, [
    [REQUESTED_TRANSPORT, Uint8Array.of(PROTOCOL_UDP, 0, 0, 0)],
    [LIFETIME, Uint8Array.of(0, 0, LIFETIME_SECONDS >> 8, LIFETIME_SECONDS & 0xff)],
  ]);
}

/** Binds the channel to a peer, which permits the peer to send. */
export function channelBindRequest(peer: Endpoint): Uint8Array {
  return request(CHANNEL_BIND, [
    [CHANNEL_NUMBER, Uint8Array.of(CHANNEL >> 8, CHANNEL & 0xff, 0, 0)],
    [XOR_PEER_ADDRESS, xorAddress(peer)],
  ]);
}

/** The relayed address that an answer to an allocate request gives; undefined for anything else. */
export function relayedAddress(bytes: Uint8Array, asked: Uint8Array): Endpoint | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isAnswer = Buffer.compare(bytes.subarray(4, 20), asked.subarray(4, 20)) === 0;
  if (!isAnswer || view.getUint16(0) !== ALLOCATE_SUCCESS) return undefined;
  for (let at = HEADER_BYTES; at + 4 <= bytes.length;) {
    const length = view.getUint16(at + 2);
    if (view.getUint16(at) === XOR_RELAYED_ADDRESS) {
      const value = (view.getUint32(at + 8) ^ MAGIC_COOKIE) >>> 0;
      const octets = [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff);
      return { address: octets.join('.'), port: view.getUint16(at + 6) ^ (MAGIC_COOKIE >>> 16) };
    }
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return undefined;
}

function xorAddress({ address, port }: Endpoint): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  const octets = address.split('.').map(Number);
  const value = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  view.setUint16(0, 1);
  view.setUint16(2, port ^ (MAGIC_COOKIE >>> 16));
  view.setUint32(4, (value ^ MAGIC_COOKIE) >>> 0);
  return new Uint8Array(view.buffer);
}

function request(type: number, attributes: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const length = attributes.reduce((sum, [, value]) => sum + 4 + value.length, 0);
  const bytes = new Uint8Array(HEADER_BYTES + length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type);
  view.setUint16(2, length);
  view.setUint32(4, MAGIC_COOKIE);
  bytes.set(randomBytes(12), 8);
  let at = HEADER_BYTES;
  for (const [name, value] of attributes) {
    view.setUint16(at, name);
    view.setUint16(at + 2, value.length);
    bytes.set(value, at + 4);
    at += 4 + value.length;
  }
  return bytes;
}

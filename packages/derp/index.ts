export { BOX_NONCE_BYTES } from './crypto-box.ts';
export { DerpFormatError } from './derp-format-error.ts';
export type { DerpFormatReason } from './derp-format-error.ts';
export {
  encodeHealth,
  encodeKeepAlive,
  encodePeerGone,
  encodePing,
  encodeRestarting,
  turnIntoReceivePacket,
} from './encode-frame.ts';
export type { PeerGoneReason } from './encode-frame.ts';
export type { FrameRun } from './frame-queue.ts';
export { FrameReader } from './frame-reader.ts';
export type { Frame } from './frame-reader.ts';
export type { ServerInfo } from './info.ts';
export { isKeyAt, keyTextAt } from './key-text.ts';
export { decodeClientMessage } from './messages.ts';
export type { ClientMessage } from './messages.ts';
export { ServerHandshake } from './server-handshake.ts';
export type { ProvenClient } from './server-handshake.ts';
export {
  DERP_VERSION,
  FRAME_HEADER_BYTES,
  KEY_BYTES,
  MAX_HANDSHAKE_PAYLOAD_BYTES,
  MAX_PAYLOAD_BYTES,
  PACKET_OVERHEAD_BYTES,
  frameType,
} from './wire-format.ts';

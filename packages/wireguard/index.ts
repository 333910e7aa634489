export { InvalidKeyError } from './invalid-key-error.ts';
export type { InvalidKeyReason } from './invalid-key-error.ts';
export {
  X25519_KEY_BYTES,
  formatX25519PublicKey,
  parseX25519PublicKey,
  x25519PublicKeysEqual,
} from './x25519-public-key.ts';
export type { X25519PublicKey, X25519Purpose } from './x25519-public-key.ts';
export { X25519PrivateKey } from './x25519-private-key.ts';
export type { RandomBytes } from './x25519-private-key.ts';
export {
  WireGuardPrivateKey,
  parseWireGuardPublicKey,
  wireGuardPublicKeyFromBytes,
} from './wireguard-key.ts';
export type { WireGuardPublicKey } from './wireguard-key.ts';
export { DiscoPrivateKey, discoPublicKeyFromBytes, parseDiscoPublicKey } from './disco-key.ts';
export type { DiscoPublicKey } from './disco-key.ts';
export {
  INITIATION_BYTES,
  SMALLEST_DATA_BYTES,
  messageKind,
  receiverIndex,
  senderIndex,
} from './message.ts';
export type { MessageKind, MessageView } from './message.ts';
export { createMac1State, createMac1Verifier } from './mac1.ts';
export type { Mac1State, Mac1Verifier } from './mac1.ts';

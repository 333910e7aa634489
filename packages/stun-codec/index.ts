export { attributeType, isComprehensionRequired } from './attribute-type.ts';
export { decodeStunMessage } from './decode-stun-message.ts';
export { encodeStunMessage } from './encode-stun-message.ts';
export { fingerprintOf } from './fingerprint.ts';
export { StunFormatError } from './stun-format-error.ts';
export type { StunFormatReason } from './stun-format-error.ts';
export { BINDING_METHOD } from './stun-message.ts';
export type { StunAttribute, StunClass, StunMessage, TransportAddress } from './stun-message.ts';

import { ipAddressFromValue, ipAddressToBytes } from '@nexodus/netip';
import { attributeType } from './attribute-type.ts';
import type { StunAttribute, TransportAddress } from './stun-message.ts';
import {
  CHANGE_ADDRESS,
  CHANGE_PORT,
  FAMILY_IPV4,
  FAMILY_IPV6,
  MAGIC_COOKIE,
  MAX_TEXT_BYTES,
  xorMask128,
} from './wire-format.ts';

/** Types that have a kind of their own, or a place that only the message gives them. */
const INTERPRETED: ReadonlySet<number> = new Set([
  attributeType.xorMappedAddress,
  attributeType.responseOrigin,
  attributeType.otherAddress,
  attributeType.changeRequest,
  attributeType.software,
  attributeType.errorCode,
  attributeType.unknownAttributes,
  attributeType.fingerprint,
]);

/**
 * The type and the value, without padding, of an attribute.
 *
 * @throws {RangeError} for an attribute that {@link StunAttribute} does not allow
 */
export function encodeAttributeValue(
  attribute: StunAttribute,
  transactionId: Uint8Array,
): { type: number; value: Uint8Array } {
  switch (attribute.kind) {
    case 'xor-mapped-address':
      return {
        type: attributeType.xorMappedAddress,
        value: encodeXorAddress(attribute.mapped, transactionId),
      };
    case 'response-origin':
      return { type: attributeType.responseOrigin, value: encodeAddress(attribute.origin) };
    case 'other-address':
      return { type: attributeType.otherAddress, value: encodeAddress(attribute.other) };
    case 'change-request':
      return { type: attributeType.changeRequest, value: encodeChangeRequest(attribute) };
    case 'software':
      return { type: attributeType.software, value: encodeText(attribute.text) };
    case 'error-code':
      return { type: attributeType.errorCode, value: encodeErrorCode(attribute) };
    case 'unknown-attributes':
      return { type: attributeType.unknownAttributes, value: encodeTypes(attribute.types) };
    case 'other':
      return requireOther(attribute);
  }
}

function encodeXorAddress(
  { address, port }: TransportAddress,
  transactionId: Uint8Array,
): Uint8Array {
  requireUint16(port, 'a port');
  const mask = address.family === 4 ? BigInt(MAGIC_COOKIE) : xorMask128(transactionId);
  return encodeAddress({
    address: ipAddressFromValue(address.family, address.value ^ mask),
    port: port ^ (MAGIC_COOKIE >>> 16),
  });
}

function encodeAddress({ address, port }: TransportAddress): Uint8Array {
  const value = new Uint8Array(address.family === 4 ? 8 : 20);
  const view = new DataView(value.buffer);
  view.setUint16(0, address.family === 4 ? FAMILY_IPV4 : FAMILY_IPV6);
  view.setUint16(2, requireUint16(port, 'a port'));
  value.set(ipAddressToBytes(address), 4);
  return value;
}

function encodeChangeRequest(change: {
  changesAddress: boolean;
  changesPort: boolean;
}): Uint8Array {
  const flags =
    (change.changesAddress ? CHANGE_ADDRESS : 0) | (change.changesPort ? CHANGE_PORT : 0);
  return Uint8Array.of(0, 0, 0, flags);
}

function encodeErrorCode({ code, reason }: { code: number; reason: string }): Uint8Array {
  if (!Number.isInteger(code) || code < 300 || code > 699) {
    throw new RangeError('a STUN error code is from 300 to 699');
  }
  const text = encodeText(reason);
  const value = new Uint8Array(4 + text.length);
  value[2] = Math.floor(code / 100);
  value[3] = code % 100;
  value.set(text, 4);
  return value;
}

function encodeTypes(types: readonly number[]): Uint8Array {
  const value = new Uint8Array(2 * types.length);
  const view = new DataView(value.buffer);
  for (const [index, type] of types.entries()) {
    view.setUint16(2 * index, requireUint16(type, 'an attribute type'));
  }
  return value;
}

function encodeText(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > MAX_TEXT_BYTES || !text.isWellFormed()) {
    throw new RangeError(`a STUN text has at most ${MAX_TEXT_BYTES} bytes of UTF-8`);
  }
  return bytes;
}

function requireOther({ type, value }: { type: number; value: Uint8Array }): {
  type: number;
  value: Uint8Array;
} {
  requireUint16(type, 'an attribute type');
  if (INTERPRETED.has(type)) throw new RangeError(`attribute type ${type} has a kind of its own`);
  return { type, value };
}

function requireUint16(number: number, name: string): number {
  if (!Number.isInteger(number) || number < 0 || number > 0xffff) {
    throw new RangeError(`${name} has 16 bits`);
  }
  return number;
}

import { ipAddressFromBytes, ipAddressFromValue } from '@nexodus/netip';
import { attributeType } from './attribute-type.ts';
import { StunFormatError } from './stun-format-error.ts';
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

/**
 * Interprets the value of an attribute other than FINGERPRINT. The result refers to no byte of the value.
 *
 * @throws {StunFormatError} `attribute`
 */
export function decodeAttribute(
  { type, value }: { type: number; value: Uint8Array },
  transactionId: Uint8Array,
): StunAttribute {
  switch (type) {
    case attributeType.xorMappedAddress:
      return { kind: 'xor-mapped-address', mapped: decodeXorAddress(value, transactionId) };
    case attributeType.responseOrigin:
      return { kind: 'response-origin', origin: decodeAddress(value, 'RESPONSE-ORIGIN') };
    case attributeType.otherAddress:
      return { kind: 'other-address', other: decodeAddress(value, 'OTHER-ADDRESS') };
    case attributeType.changeRequest:
      return decodeChangeRequest(value);
    case attributeType.software:
      return { kind: 'software', text: decodeText(value) };
    case attributeType.errorCode:
      return decodeErrorCode(value);
    case attributeType.unknownAttributes:
      return { kind: 'unknown-attributes', types: decodeTypes(value) };
    default:
      return { kind: 'other', type, value: Uint8Array.from(value) };
  }
}

/** An address as it is (RFC 8489 section 14.1). */
function decodeAddress(value: Uint8Array, name: string): TransportAddress {
  const isIpv4 = value[1] === FAMILY_IPV4 && value.length === 8;
  const isIpv6 = value[1] === FAMILY_IPV6 && value.length === 20;
  if (!isIpv4 && !isIpv6) throw badValue(name);
  return { address: ipAddressFromBytes(value.subarray(4)), port: viewOf(value).getUint16(2) };
}

/** An address combined with cookie and transaction id (RFC 8489 section 14.2). */
function decodeXorAddress(value: Uint8Array, transactionId: Uint8Array): TransportAddress {
  const { address, port } = decodeAddress(value, 'XOR-MAPPED-ADDRESS');
  const mask = address.family === 4 ? BigInt(MAGIC_COOKIE) : xorMask128(transactionId);
  return {
    address: ipAddressFromValue(address.family, address.value ^ mask),
    port: port ^ (MAGIC_COOKIE >>> 16),
  };
}

function decodeChangeRequest(value: Uint8Array): StunAttribute {
  if (value.length !== 4) throw badValue('CHANGE-REQUEST');
  const flags = value[3] ?? 0;
  return {
    kind: 'change-request',
    changesAddress: (flags & CHANGE_ADDRESS) !== 0,
    changesPort: (flags & CHANGE_PORT) !== 0,
  };
}

function decodeErrorCode(value: Uint8Array): StunAttribute {
  const [, , hundreds = 0, rest = 0] = value;
  const digit = hundreds & 0x07;
  if (value.length < 4 || digit < 3 || digit > 6 || rest > 99) throw badValue('ERROR-CODE');
  return {
    kind: 'error-code',
    code: digit * 100 + rest,
    reason: decodeText(value.subarray(4)),
  };
}

function decodeTypes(value: Uint8Array): number[] {
  if (value.length % 2 !== 0) throw badValue('UNKNOWN-ATTRIBUTES');
  const view = viewOf(value);
  return Array.from({ length: value.length / 2 }, (_unused, index) => view.getUint16(2 * index));
}

function decodeText(value: Uint8Array): string {
  if (value.length > MAX_TEXT_BYTES) throw badValue('a text');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    throw badValue('a text');
  }
}

function viewOf(value: Uint8Array): DataView {
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}

function badValue(name: string): StunFormatError {
  return new StunFormatError('attribute', `The value of ${name} is not valid.`);
}

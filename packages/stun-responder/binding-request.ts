import {
  attributeType,
  BINDING_METHOD,
  fingerprintOf,
  isComprehensionRequired,
} from '@nexodus/stun-codec';
import { type Verdict, VERDICTS } from './verdict.ts';

/** RFC 8489 section 5. */
const HEADER_BYTES = 20;
const MAGIC_COOKIE = 0x2112_a442;
/** The two bits before the message type, and the two of its class. */
const FIRST_BITS = 0xc000;
const CLASS_BITS = 0x0110;
/** Longest request that is read: what fits a path of IPv6's smallest MTU (RFC 8489 section 6.1). */
const MAX_REQUEST_BYTES = 1_232;
const MAX_ATTRIBUTES = MAX_REQUEST_BYTES / 4;
/** Flags of CHANGE-REQUEST (RFC 5780 section 7.2). */
const CHANGE_FLAGS = 0x06;

/**
 * Comprehension-required types that a server understands: the mechanisms of authentication, which a server that demands
 * none passes over (RFC 8489 section 9), and what only answers carry.
 */
const UNDERSTOOD: ReadonlySet<number> = new Set<number>([
  attributeType.username,
  attributeType.messageIntegrity,
  attributeType.errorCode,
  attributeType.unknownAttributes,
  attributeType.realm,
  attributeType.nonce,
  attributeType.messageIntegritySha256,
  attributeType.passwordAlgorithm,
  attributeType.userhash,
  attributeType.xorMappedAddress,
]);

/** Reads Binding requests, one after the other, without allocating anything. */
export class BindingRequest {
  /** Flags of CHANGE-REQUEST; -1 where the request has none. */
  changeFlags = -1;
  /** Number of types that must be understood and are not, each counted once. */
  unknownCount = 0;
  /** Those types. */
  readonly unknownTypes = new Uint16Array(MAX_ATTRIBUTES);
  /** A bit for each comprehension-required type: whether it is among `unknownTypes`. */
  readonly #isUnknown = new Uint32Array(0x8000 / 32);

  /** Reads a datagram; VERDICTS.answered where it is a Binding request, else why it is not answered. */
  read(view: DataView, offset: number, length: number): Verdict {
    if (length < HEADER_BYTES) return VERDICTS.notStun;
    const type = view.getUint16(offset);
    if ((type & FIRST_BITS) !== 0 || view.getUint32(offset + 4) !== MAGIC_COOKIE) {
      return VERDICTS.notStun;
    }
    const attributeBytes = view.getUint16(offset + 2);
    if (
      attributeBytes % 4 !== 0 ||
      attributeBytes !== length - HEADER_BYTES ||
      length > MAX_REQUEST_BYTES
    ) {
      return VERDICTS.malformed;
    }
    if ((type & CLASS_BITS) !== 0) return VERDICTS.notARequest;
    if (type !== BINDING_METHOD) return VERDICTS.otherMethod;
    this.changeFlags = -1;
    this.#forgetUnknown();
    return this.#readAttributes(view, offset, offset + length)
      ? VERDICTS.answered
      : VERDICTS.malformed;
  }

  /** Adds a type to the unknown ones. */
  addUnknown(type: number): void {
    const bit = 1 << (type & 31);
    const word = this.#isUnknown[type >>> 5] ?? 0;
    if ((word & bit) !== 0) return;
    this.#isUnknown[type >>> 5] = word | bit;
    this.unknownTypes[this.unknownCount] = type;
    this.unknownCount += 1;
  }

  #forgetUnknown(): void {
    for (let index = 0; index < this.unknownCount; index += 1) {
      this.#isUnknown[(this.unknownTypes[index] ?? 0) >>> 5] = 0;
    }
    this.unknownCount = 0;
  }

  /** False for attributes that do not fit the message, and for a FINGERPRINT that is not last or does not match. */
  #readAttributes(view: DataView, start: number, end: number): boolean {
    let protectedBy = 0;
    let at = start + HEADER_BYTES;
    // Header and values are padded to 4 bytes, so a header always fits where anything is left.
    while (at < end) {
      const type = view.getUint16(at);
      const length = view.getUint16(at + 2);
      const next = at + 4 + ((length + 3) & ~3);
      if (next > end) return false;
      if (type === attributeType.fingerprint) {
        return (
          next === end && length === 4 && view.getUint32(at + 4) === fingerprintOf(view, start, at)
        );
      }
      if (counts(type, protectedBy)) {
        if (!this.#readAttribute(view, at, type, length)) return false;
        if (isIntegrity(type)) protectedBy = type;
      }
      at = next;
    }
    return true;
  }

  #readAttribute(view: DataView, at: number, type: number, length: number): boolean {
    if (type === attributeType.changeRequest) {
      if (length !== 4) return false;
      // Of several attributes of one type the first counts (RFC 8489 section 14).
      if (this.changeFlags === -1) this.changeFlags = view.getUint8(at + 7) & CHANGE_FLAGS;
      return true;
    }
    if (isComprehensionRequired(type) && !UNDERSTOOD.has(type)) this.addUnknown(type);
    return true;
  }
}

/** After MESSAGE-INTEGRITY only MESSAGE-INTEGRITY-SHA256 counts, after that nothing (RFC 8489 sections 14.5 and 14.6). */
function counts(type: number, protectedBy: number): boolean {
  if (protectedBy === 0) return true;
  return (
    protectedBy === attributeType.messageIntegrity && type === attributeType.messageIntegritySha256
  );
}

function isIntegrity(type: number): boolean {
  return type === attributeType.messageIntegrity || type === attributeType.messageIntegritySha256;
}

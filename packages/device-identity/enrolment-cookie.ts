import { randomBytes } from 'node:crypto';
import { X25519PrivateKey, X25519_KEY_BYTES } from '@nexodus/wireguard';
import type { RandomBytes } from '@nexodus/wireguard';
import { ENROLMENT_NONCE_BYTES } from './enrolment-transcript.ts';
import { open, seal } from './sealing.ts';
import type { SealingKey } from './sealing.ts';

/** How long an enrolment may take from BeginEnroll to Enroll (protocol.md section 1). */
const ENROLMENT_COOKIE_LIFETIME_SECONDS = 60;

const USE = 'nexodus-enrol-cookie-v1';
const EXPIRY_BYTES = 8;
const PAYLOAD_BYTES = EXPIRY_BYTES + ENROLMENT_NONCE_BYTES + X25519_KEY_BYTES;

/** What the service must remember between BeginEnroll and Enroll. */
export interface EnrolmentCookie {
  /** 32 bytes. */
  readonly nonce: Uint8Array;
  readonly serverKey: X25519PrivateKey<'enrolment'>;
}

/** `invalid`: not sealed by this service, or altered; `expired`: older than 60 s. */
export type CookieRefusal = 'invalid' | 'expired';

/** The only error of `openCookie`. */
export class EnrolmentCookieError extends Error {
  readonly reason: CookieRefusal;

  constructor(reason: CookieRefusal) {
    super(
      reason === 'expired'
        ? `The enrolment took longer than ${ENROLMENT_COOKIE_LIFETIME_SECONDS} s; begin again.`
        : 'The enrolment cookie was not made by this service.',
    );
    this.name = 'EnrolmentCookieError';
    this.reason = reason;
  }
}

/** A fresh nonce and server key. `random` is the system's generator unless a test gives another. */
export function createEnrolmentExchange(random: RandomBytes = randomBytes): EnrolmentCookie {
  return {
    nonce: new Uint8Array(random(ENROLMENT_NONCE_BYTES)),
    serverKey: X25519PrivateKey.generate('enrolment', random),
  };
}

/**
 * Seals the exchange so that the client can carry it and no replica keeps state. Layout of the
 * payload: expiry in milliseconds since 1970 (8, big endian), nonce (32), private key (32).
 */
export function sealCookie(
  cookie: EnrolmentCookie,
  key: SealingKey,
  now: Date,
  random: RandomBytes = randomBytes,
): Uint8Array {
  const expiry = Buffer.alloc(EXPIRY_BYTES);
  expiry.writeBigUInt64BE(BigInt(now.getTime() + ENROLMENT_COOKIE_LIFETIME_SECONDS * 1000));
  const payload = Buffer.concat([expiry, cookie.nonce, cookie.serverKey.exportBytes()]);
  if (payload.length !== PAYLOAD_BYTES) {
    throw new RangeError(`An enrolment nonce is ${ENROLMENT_NONCE_BYTES} bytes.`);
  }
  return seal(payload, key, USE, random);
}

/**
 * Opens what `sealCookie` made with the same key. `expiresAt` tells how long its nonce must be
 * remembered as used. Throws EnrolmentCookieError.
 */
export function openCookie(
  sealed: Uint8Array,
  key: SealingKey,
  now: Date,
): EnrolmentCookie & { readonly expiresAt: Date } {
  const payload = open(sealed, key, USE);
  if (payload?.length !== PAYLOAD_BYTES) throw new EnrolmentCookieError('invalid');
  const expiresAtMs = Number(Buffer.from(payload.subarray(0, EXPIRY_BYTES)).readBigUInt64BE());
  if (now.getTime() >= expiresAtMs) throw new EnrolmentCookieError('expired');
  const nonceEnd = EXPIRY_BYTES + ENROLMENT_NONCE_BYTES;
  return {
    nonce: payload.slice(EXPIRY_BYTES, nonceEnd),
    serverKey: X25519PrivateKey.fromBytes(payload.subarray(nonceEnd), 'enrolment'),
    expiresAt: new Date(expiresAtMs),
  };
}

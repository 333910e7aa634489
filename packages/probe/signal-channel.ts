/**
 * Signals between the two devices of a pair, sealed so that the relay which passes them on can neither read, change nor
 * repeat them:
 *
 *     0  kind: 1 candidates, 2 call-me, 3 nominate, 4 accept, 5 decline
 *     1  nonce, 12 random bytes
 *    13  ChaCha20-Poly1305 (RFC 8439) under the key of the direction, of
 *          0  sequence number, 8 bytes in network order
 *          8  the message of nexodus.path.v1 that the kind names
 *        and its tag, 16 bytes; additional data: direction (0 from the lesser disco key, 1 from the greater), kind
 *
 * Sequence numbers of a direction rise. They begin at the wall clock, in microseconds, so that a sender that starts again
 * goes on above what it sent before without having written it down. A receiver takes only what is above the highest that it
 * has seen. After a start of its own it has seen nothing, so a relay that kept old signals can show it each of them once
 * more, in order, until the peer sends a new one. A sender whose clock was set back is not heard until its clock has
 * passed what it sent last, or the receiver starts again.
 */
import type { RandomBytes } from '@nexodus/wireguard';
import { SEAL_NONCE_BYTES, SEAL_OVERHEAD_BYTES } from './direction-keys.ts';
import type { ProbePair } from './probe-pair.ts';
import type { Signal } from './signal.ts';
import { decodeSignalBody, encodeSignalBody, signalKinds } from './signal-body.ts';

/** Longest sealed signal. */
export const MAX_SIGNAL_BYTES = 1_200;

const NONCE_OFFSET = 1;
const SEALED_OFFSET = NONCE_OFFSET + SEAL_NONCE_BYTES;
const SEQUENCE_BYTES = 8;
const MIN_SIGNAL_BYTES = SEALED_OFFSET + SEQUENCE_BYTES + SEAL_OVERHEAD_BYTES;
const MICROSECONDS = 1_000;

/**
 * Why bytes are no news of the peer. `malformed`: no length of a signal, or no message of its kind; `forged`: not sealed by
 * the peer for this device, or changed; `replayed`: not newer than what came before; `unknown-kind`: the peer speaks of
 * what this version does not know.
 */
export type SignalRefusal = 'forged' | 'malformed' | 'replayed' | 'unknown-kind';

/** What bytes are. */
export type SignalVerdict =
  | { readonly ok: true; readonly signal: Signal }
  | { readonly ok: false; readonly refusal: SignalRefusal };

/** What sealing takes from outside. */
export interface SealingOptions {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Source of unpredictable bytes. */
  readonly random: RandomBytes;
}

/** The signals of one pair, in both directions. One object for each pair, for as long as its keys are. */
export class SignalChannel {
  readonly #pair: ProbePair;
  #lastSent = 0n;
  #highestSeen = 0n;

  constructor(pair: ProbePair) {
    this.#pair = pair;
  }

  /**
   * Seals a signal for the peer, in at most `MAX_SIGNAL_BYTES`.
   *
   * @throws {RangeError} for what no signal may say: see `Signal`
   */
  seal(signal: Signal, { nowMs, random }: SealingOptions): Uint8Array {
    const body = encodeSignalBody(signal);
    const kind = signalKinds[signal.kind];
    const nonce = random(SEAL_NONCE_BYTES);
    const sequence = Buffer.alloc(SEQUENCE_BYTES);
    sequence.writeBigUInt64BE(this.#nextSequence(nowMs));
    const sealed = this.#pair.outgoing.seal(Buffer.concat([sequence, body]), nonce, kind);
    return Buffer.concat([Uint8Array.of(kind), nonce, sealed]);
  }

  /** Opens what the peer sealed. Never throws. */
  open(bytes: Uint8Array): SignalVerdict {
    if (bytes.length < MIN_SIGNAL_BYTES || bytes.length > MAX_SIGNAL_BYTES) {
      return { ok: false, refusal: 'malformed' };
    }
    const [kind = 0] = bytes;
    const nonce = bytes.subarray(NONCE_OFFSET, SEALED_OFFSET);
    const plaintext = this.#pair.incoming.open(bytes.subarray(SEALED_OFFSET), nonce, kind);
    if (plaintext === undefined) return { ok: false, refusal: 'forged' };
    const sequence = plaintext.readBigUInt64BE();
    if (sequence <= this.#highestSeen) return { ok: false, refusal: 'replayed' };
    this.#highestSeen = sequence;
    return decoded(kind, plaintext.subarray(SEQUENCE_BYTES));
  }

  #nextSequence(nowMs: number): bigint {
    const now = BigInt(Math.floor(nowMs * MICROSECONDS));
    this.#lastSent = now > this.#lastSent ? now : this.#lastSent + 1n;
    return this.#lastSent;
  }
}

function decoded(kind: number, body: Uint8Array): SignalVerdict {
  try {
    const signal = decodeSignalBody(kind, body);
    return signal === undefined ? { ok: false, refusal: 'unknown-kind' } : { ok: true, signal };
  } catch {
    // Only SignalFormatError is thrown there.
    return { ok: false, refusal: 'malformed' };
  }
}

import {
  encodeRegistrationAnswer,
  openRegistration,
  registrationSessionId,
  type RelayRegistrationKey,
  type SessionSide,
} from '@nexodus/relay-registration';
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
} from '@nexodus/socket-address';
import { isFrom, type SourceView } from './source.ts';
import { type BucketLimit, TokenBucket } from './token-bucket.ts';
import type { DropReason } from './verdict.ts';

/** Whose registrations a desk takes. */
export interface RegistrationDeskOptions {
  readonly sessionId: bigint;
  readonly side: SessionSide;
  readonly key: RelayRegistrationKey;
  readonly limit: BucketLimit;
}

/** What became of a registration: refused, or accepted, and then whether it proved that it comes from its own address. */
export type DeskResult =
  | { readonly refused: DropReason }
  | { readonly provesSource: boolean; answer(isLocked: boolean): Uint8Array };

/**
 * The registrations of one side. Two marks move forward with the timestamps: one by every authentic registration, one
 * only by those that prove their source. A registration that proves its source must be newer than the second and not
 * older than the first; any other must be newer than the first. So a replay gets nothing, and whoever overtakes a
 * device with a copy from elsewhere can spend its question and cannot spend its proof.
 */
export class RegistrationDesk {
  readonly #options: RegistrationDeskOptions;
  readonly #bucket: TokenBucket;
  readonly #scratch = new Uint8Array(SOCKET_ADDRESS_BYTES);
  #newestTimestamp = -1n;
  #provenTimestamp = -1n;

  constructor(options: RegistrationDeskOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.limit);
  }

  /** Decides about a datagram that has the form of a registration. */
  receive(bytes: Uint8Array, from: SourceView, nowMs: number): DeskResult {
    const { sessionId, side, key } = this.#options;
    if (registrationSessionId(bytes) !== sessionId) return { refused: 'registration-refused' };
    const registration = openRegistration(bytes, key);
    if (registration?.side !== side) return { refused: 'registration-refused' };
    const { timestamp, observed } = registration;
    const provesSource = observed !== undefined && this.#isAt(observed, from);
    const isNew = provesSource
      ? timestamp > this.#provenTimestamp && timestamp >= this.#newestTimestamp
      : timestamp > this.#newestTimestamp;
    if (!isNew) return { refused: 'registration-replayed' };
    if (!this.#bucket.take(1, nowMs)) return { refused: 'rate' };
    this.#newestTimestamp = timestamp;
    if (provesSource) this.#provenTimestamp = timestamp;
    const source = decodeSocketAddress(from.bytes, from.offset);
    const answer = (isLocked: boolean): Uint8Array =>
      encodeRegistrationAnswer({ observed: source, isLocked }, bytes, key);
    return { provesSource, answer };
  }

  #isAt(observed: Parameters<typeof encodeSocketAddress>[2], from: SourceView): boolean {
    encodeSocketAddress(this.#scratch, 0, observed);
    return isFrom(this.#scratch, from);
  }
}

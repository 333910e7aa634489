import type { IpAddress } from '@nexodus/netip';

/** Length of a transaction id (RFC 8489 section 5). */
export const TRANSACTION_ID_BYTES = 12;

/** The Binding method (RFC 8489 section 18.2). */
export const BINDING_METHOD = 0x001;

/** Class of a message (RFC 8489 section 5). */
export type StunClass = 'request' | 'indication' | 'success' | 'error';

/** Address and UDP port. */
export interface TransportAddress {
  readonly address: IpAddress;
  readonly port: number;
}

/**
 * One attribute. `other` holds the types that this package does not interpret, among them those of the authentication
 * mechanisms.
 */
export type StunAttribute =
  | { readonly kind: 'xor-mapped-address'; readonly mapped: TransportAddress }
  /** Where the answer was sent from (RFC 5780 section 7.3). */
  | { readonly kind: 'response-origin'; readonly origin: TransportAddress }
  /** Where an answer to a request to change address and port would come from (RFC 5780 section 7.4). */
  | { readonly kind: 'other-address'; readonly other: TransportAddress }
  /** From where the answer shall come (RFC 5780 section 7.2). */
  | {
      readonly kind: 'change-request';
      readonly changesAddress: boolean;
      readonly changesPort: boolean;
    }
  /** At most 763 bytes of UTF-8. */
  | { readonly kind: 'software'; readonly text: string }
  /** Code from 300 to 699, reason of at most 763 bytes of UTF-8. */
  | { readonly kind: 'error-code'; readonly code: number; readonly reason: string }
  | { readonly kind: 'unknown-attributes'; readonly types: readonly number[] }
  | { readonly kind: 'other'; readonly type: number; readonly value: Uint8Array };

/** A message. Of several attributes of one type the first counts (RFC 8489 section 14). */
export interface StunMessage {
  readonly class: StunClass;
  /** From 0 to 0xfff. */
  readonly method: number;
  /** 12 bytes. */
  readonly transactionId: Uint8Array;
  /** Without FINGERPRINT. */
  readonly attributes: readonly StunAttribute[];
  /** Whether the message ends with FINGERPRINT. */
  readonly hasFingerprint: boolean;
}

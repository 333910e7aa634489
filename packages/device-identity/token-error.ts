/**
 * Why a token or proof was refused. `malformed`: no JWT of the expected shape; `wrong-algorithm`:
 * any but EdDSA; `bad-signature`; `wrong-claim`: a claim or the `typ` differs from what this
 * call demands; `wrong-key`: made by another key than the token is bound to; `expired`: a token
 * of the service past its time; `clock-skew`: a statement dated more than 60 s from now.
 */
export type TokenRefusal =
  | 'malformed'
  | 'wrong-algorithm'
  | 'bad-signature'
  | 'wrong-claim'
  | 'wrong-key'
  | 'expired'
  | 'clock-skew';

/** The only error thrown for outside tokens. Its text never holds a token. */
export class TokenError extends Error {
  readonly reason: TokenRefusal;
  /** With `wrong-claim`: which one. */
  readonly claim: string | undefined;
  /** With `clock-skew`: the maker's clock minus ours at signing; negative is behind. */
  readonly skewSeconds: number | undefined;

  constructor(
    reason: TokenRefusal,
    message: string,
    details: { claim?: string; skewSeconds?: number } = {},
  ) {
    super(message);
    this.name = 'TokenError';
    this.reason = reason;
    this.claim = details.claim;
    this.skewSeconds = details.skewSeconds;
  }
}

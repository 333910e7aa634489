/**
 * Why commands were not carried out. `refused`: nft or the kernel did not accept them, and nothing of them holds;
 * `unavailable`: there is no way to run any here.
 */
export type NftErrorReason = 'refused' | 'unavailable';

/** The error of an NftProgrammer. Its text is what nft says. */
export class NftError extends Error {
  override readonly name = 'NftError';
  readonly reason: NftErrorReason;

  constructor(reason: NftErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

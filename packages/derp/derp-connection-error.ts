/**
 * Why there is no connection any more. `refused`: the other side says that it will not; `closed`: the other side or the
 * network ended it; `timeout`: the handshake took too long; `silent`: nothing was heard for too long; `aborted`: the
 * caller did not want it any more.
 */
export type DerpConnectionReason = 'refused' | 'closed' | 'timeout' | 'silent' | 'aborted';

/** A connection could not be opened, or ended. */
export class DerpConnectionError extends Error {
  override readonly name = 'DerpConnectionError';
  readonly reason: DerpConnectionReason;

  constructor(reason: DerpConnectionReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

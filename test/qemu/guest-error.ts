/** A guest that could not be prepared, did not boot, or did not finish in time; the message holds the end of its console. */
export class GuestError extends Error {
  override readonly name = 'GuestError';
}

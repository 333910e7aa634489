import { RpcError } from '@nexodus/rpc';

/** The error that a call is refused with. Throws when it is not refused, or fails otherwise. */
export function refusal(call: Promise<unknown>): Promise<RpcError> {
  return call.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: unknown) => {
      if (error instanceof RpcError) return error;
      throw error;
    },
  );
}

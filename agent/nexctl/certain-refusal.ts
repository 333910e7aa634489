import { RpcError, Status } from '@nexodus/rpc';
import { CommandError } from '../command/command-error.ts';

/** What the service answers before it changes anything. */
const refusals: ReadonlySet<Status> = new Set([
  Status.INVALID_ARGUMENT,
  Status.NOT_FOUND,
  Status.ALREADY_EXISTS,
  Status.PERMISSION_DENIED,
  Status.UNAUTHENTICATED,
  Status.FAILED_PRECONDITION,
  Status.RESOURCE_EXHAUSTED,
  Status.UNIMPLEMENTED,
]);

/**
 * Whether the service certainly did not do what it was asked, because it said so. False for everything else: a
 * connection that breaks, a deadline or a fault of the service leave open whether it did.
 */
export function isCertainRefusal(error: unknown): boolean {
  if (error instanceof CommandError && error.cause !== undefined) {
    return isCertainRefusal(error.cause);
  }
  return error instanceof RpcError && refusals.has(error.code);
}

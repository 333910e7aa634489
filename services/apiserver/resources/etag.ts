import { createHash } from 'node:crypto';
import { RpcError, Status } from '@nexodus/rpc';

/**
 * Compares the etag that a caller expects with the present one (AIP-154). An empty expectation matches everything.
 *
 * @throws {RpcError} ABORTED when they differ
 */
export function requireEtag(expected: string, present: string, kind: string): void {
  if (expected === '' || expected === present) return;
  throw new RpcError(Status.ABORTED, `the ${kind} was changed meanwhile: read it again`, {
    reason: 'ETAG_MISMATCH',
  });
}

/** The etag of a resource: a hash of what its changes change. */
export function etagOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22);
}

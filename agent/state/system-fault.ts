import { dirname } from 'node:path';
import { StateError } from './state-error.ts';

/** The code of a system error, such as "ENOENT"; undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** Words what the system said of a file; what is no system error passes as it is. */
export function asStateError(error: unknown, path: string): unknown {
  const code = systemErrorCode(error);
  if (code === undefined || error instanceof StateError) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new StateError(
      'disk-full',
      `The disk of ${dirname(path)} is full`,
      'Nothing was lost: free some space there and run the command again',
      { cause: error },
    );
  }
  return new StateError(
    'inaccessible',
    `${path} cannot be used (${code})`,
    'Run as the user who owns it (root for a tunnel), or name another directory with --state-dir',
    { cause: error },
  );
}

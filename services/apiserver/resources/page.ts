import { invalidArgument } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';

/** Rows of a page when the caller does not say, and at most. */
const defaultSize = 100;
const largestSize = 1_000;

/** A page that was asked for: rows with ids after `after`, in order of id, which is order of creation. */
export interface Page {
  limit: number;
  /** Undefined for the first page. */
  after: string | undefined;
}

/**
 * Reads the paging fields of a list request (AIP-158). A token is the last id of the page before, so that writes between
 * two pages neither repeat nor skip a row that stays.
 *
 * @throws {RpcError} INVALID_ARGUMENT
 */
export function parsePage(request: { pageSize: number; pageToken: string }): Page {
  if (request.pageSize < 0)
    throw invalidArgument([{ field: 'page_size', description: 'must not be negative' }]);
  const limit = request.pageSize === 0 ? defaultSize : Math.min(request.pageSize, largestSize);
  if (request.pageToken === '') return { limit, after: undefined };
  const after = Buffer.from(request.pageToken, 'base64url').toString();
  if (!isUuid(after))
    throw invalidArgument([{ field: 'page_token', description: 'is not a token of this list' }]);
  return { limit, after };
}

/** Cuts what was read with one row more than the limit, and makes the token of the next page. */
export function cutPage<T extends { id: string }>(
  rows: readonly T[],
  page: Page,
): { rows: T[]; nextPageToken: string } {
  const kept = rows.slice(0, page.limit);
  const last = kept.at(-1);
  const hasMore = rows.length > page.limit && last !== undefined;
  return { rows: kept, nextPageToken: hasMore ? Buffer.from(last.id).toString('base64url') : '' };
}

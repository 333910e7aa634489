import type { VpcChange } from '@nexodus/contracts/event';

/** Where a reader stands in a VPC's log. */
export interface LogCursor {
  readonly logIncarnation: string;
  readonly revision: bigint;
}

/**
 * What the head of a log asks of a reader: `read` what is new, `restart` from a snapshot because the log was restored or
 * lost its end, or nothing.
 *
 * @param cursor where the reader stood before the head was read; later it may stand beyond a head that was right
 */
export function judgeHead(cursor: LogCursor, head: LogCursor): 'current' | 'read' | 'restart' {
  if (head.logIncarnation !== cursor.logIncarnation) return 'restart';
  if (head.revision < cursor.revision) return 'restart';
  return head.revision === cursor.revision ? 'current' : 'read';
}

/** Whether changes follow a revision one by one. */
export function isGapless(after: bigint, changes: readonly VpcChange[]): boolean {
  return changes.every((change, index) => change.revision === after + BigInt(index + 1));
}

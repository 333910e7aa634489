import type { SoftStateEntry } from './soft-state-store.ts';

/**
 * What is stored under a key: an entry, or what is left of one. A record is replaced only by one that is not older, so
 * the pair (epoch, sequence) of a key never goes back.
 */
export interface SoftStateRecord {
  readonly isLive: boolean;
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly leaseUntil: number;
  readonly value: Uint8Array;
}

/** No write of an ended session comes after this. */
const LAST_SEQUENCE = 2n ** 64n - 1n;

const NOTHING = new Uint8Array();

/** The record an entry becomes, or undefined if it is stale. */
export function recordPut(
  current: SoftStateRecord | undefined,
  entry: SoftStateEntry,
): SoftStateRecord | undefined {
  if (current !== undefined && isNewer(current, entry)) return undefined;
  const { epoch, sequence, leaseUntil, value } = entry;
  return { isLive: true, epoch, sequence, leaseUntil, value };
}

/** The record that ends a session, or undefined if a later one has written. */
export function recordDelete(
  current: SoftStateRecord | undefined,
  epoch: bigint,
): SoftStateRecord | undefined {
  if (current !== undefined && current.epoch > epoch) return undefined;
  return { isLive: false, epoch, sequence: LAST_SEQUENCE, leaseUntil: 0, value: NOTHING };
}

/** The record that ends an entry whose lease has passed, or undefined if there is none to end. */
export function recordExpiry(
  current: SoftStateRecord | undefined,
  now: number,
): SoftStateRecord | undefined {
  if (current === undefined || !current.isLive || current.leaseUntil > now) return undefined;
  return { ...current, isLive: false, value: NOTHING };
}

/** The entry of a live record. */
export function entryOf(
  key: string,
  record: SoftStateRecord | undefined,
): SoftStateEntry | undefined {
  if (record === undefined || !record.isLive) return undefined;
  const { epoch, sequence, leaseUntil, value } = record;
  return { key, epoch, sequence, leaseUntil, value };
}

function isNewer(
  left: Pick<SoftStateRecord, 'epoch' | 'sequence'>,
  right: Pick<SoftStateRecord, 'epoch' | 'sequence'>,
): boolean {
  return left.epoch === right.epoch ? left.sequence > right.sequence : left.epoch > right.epoch;
}

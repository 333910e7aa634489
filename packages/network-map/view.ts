/**
 * The view of a VPC that one device holds.
 *
 * A stream carries a snapshot and then deltas, each for an interval (from, to] of the VPC's revisions that joins the one
 * before. Folding the deltas always equals a fresh snapshot; that is the law which the functions here keep and which
 * `ViewGap` guards. Rules: docs/protocol/agent.md.
 */
import { type ViewEntries, type ViewInterval, ViewKind } from '@nexodus/contracts/agent';
import { ViewDigest } from './view-digest.ts';

/** Entries of one VPC at one revision. Never changes; changes give a new one. */
export interface View {
  readonly vpcId: string;
  /** Incarnation of the change log that the revision counts in. */
  readonly logIncarnation: string;
  readonly revision: bigint;
  /** Encoded EntryValue of each key. */
  readonly entries: ReadonlyMap<string, Uint8Array>;
  /** Digest of `entries`. */
  readonly digest: ViewDigest;
}

/**
 * Why an interval does not continue a view. `no-view`: a delta without a view to change; `wrong-log`: another VPC or
 * incarnation; `not-adjacent`: it does not start where the view ends; `inverted`: it ends before it starts;
 * `wrong-frames`: not as many frames as announced; `unknown-kind`: neither snapshot nor delta.
 */
export type ViewGapReason =
  | 'no-view'
  | 'wrong-log'
  | 'not-adjacent'
  | 'inverted'
  | 'wrong-frames'
  | 'unknown-kind';

/** The only error of `applyInterval`: the device must open a new stream, whose Hello says what it holds. */
export class ViewGap extends Error {
  override readonly name = 'ViewGap';
  readonly reason: ViewGapReason;

  constructor(reason: ViewGapReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * The view after an interval. A snapshot replaces whatever was there; a delta must start at the view's revision, and
 * one that ends where it starts (a removal that is hidden before it was compiled) changes entries but no revision.
 *
 * @throws {ViewGap} and leaves the view as it is
 */
export function applyInterval(
  view: View | undefined,
  interval: ViewInterval,
  frames: readonly ViewEntries[],
): View {
  if (frames.length !== interval.frames) {
    throw new ViewGap('wrong-frames', `${frames.length} frames, not ${interval.frames}`);
  }
  if (interval.to < interval.from) {
    throw new ViewGap('inverted', `interval (${interval.from}, ${interval.to}] is inverted`);
  }
  const base = baseOf(view, interval);
  const entries = new Map(base.entries);
  let digest = base.digest;
  for (const { key, value } of frames.flatMap((frame) => frame.entries)) {
    const before = entries.get(key);
    if (before !== undefined) digest = digest.without(key, before);
    if (value.length === 0) {
      entries.delete(key);
      continue;
    }
    entries.set(key, value);
    digest = digest.with(key, value);
  }
  const { vpcId, logIncarnation, to } = interval;
  return { vpcId, logIncarnation, revision: to, entries, digest };
}

/** The view after a bookmark: nothing up to `revision` concerns the device. Older ones say nothing new. */
export function applyBookmark(view: View, revision: bigint): View {
  return revision > view.revision ? { ...view, revision } : view;
}

function baseOf(view: View | undefined, interval: ViewInterval): Pick<View, 'entries' | 'digest'> {
  if (interval.kind === ViewKind.SNAPSHOT) return { entries: new Map(), digest: ViewDigest.empty };
  if (interval.kind !== ViewKind.DELTA) {
    throw new ViewGap('unknown-kind', `interval of kind ${interval.kind}`);
  }
  if (view === undefined) throw new ViewGap('no-view', 'a delta came before any snapshot');
  if (interval.vpcId !== view.vpcId || interval.logIncarnation !== view.logIncarnation) {
    throw new ViewGap('wrong-log', 'the delta belongs to another change log');
  }
  if (interval.from !== view.revision) {
    throw new ViewGap('not-adjacent', `delta from ${interval.from} after ${view.revision}`);
  }
  return view;
}

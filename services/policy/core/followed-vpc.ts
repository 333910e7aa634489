import type { ResourceImage, VpcChange, VpcSnapshot } from '@nexodus/contracts/event';
import type { PairChanges } from './device-pair.ts';
import { type HistoryLimits, PairHistory } from './pair-history.ts';
import { keyOf, type ResourceUpdate, updateOf } from './resource-update.ts';
import { VpcVisibility } from './vpc-visibility.ts';

/** What can be said about an interval. */
export type IntervalAnswer =
  | { readonly state: 'known'; readonly changes: PairChanges }
  /** The end of the interval has not arrived. */
  | { readonly state: 'ahead' }
  /** The interval is not kept, or is of another log. */
  | { readonly state: 'compacted' };

/** An interval of a VPC's log; `from` exclusive, 0 for all that holds at `to`. */
export interface Interval {
  readonly logIncarnation: string;
  readonly from: bigint;
  readonly to: bigint;
}

/** A change that does not join the one before: the reader missed something and must begin anew. */
export class RevisionGapError extends Error {
  override readonly name = 'RevisionGapError';
}

/** One VPC as its change log tells it: state, head and recent history. */
export class FollowedVpc {
  readonly #limits: HistoryLimits;
  readonly #visibility = new VpcVisibility();
  readonly #logIncarnation: string;
  readonly #history: PairHistory;

  /** Begins with a snapshot. */
  constructor(snapshot: VpcSnapshot, limits: HistoryLimits) {
    this.#limits = limits;
    this.#logIncarnation = snapshot.logIncarnation;
    this.#history = new PairHistory(snapshot.revision, limits);
    this.#visibility.load(snapshot.resources);
  }

  /** The newest revision. */
  get revision(): bigint {
    return this.#history.head;
  }

  /**
   * The VPC after another snapshot. One that goes on in the same log becomes one step of the history, so that answers go
   * on too; any other begins anew.
   */
  resynchronized(snapshot: VpcSnapshot): FollowedVpc {
    if (snapshot.logIncarnation !== this.#logIncarnation || snapshot.revision < this.revision) {
      return new FollowedVpc(snapshot, this.#limits);
    }
    const changes = this.#visibility.apply(this.#visibility.updatesTo(snapshot.resources));
    if (snapshot.revision > this.revision) {
      this.#history.add(snapshot.revision, changes);
      return this;
    }
    const isSame = changes.shown.length === 0 && changes.hidden.length === 0;
    return isSame ? this : new FollowedVpc(snapshot, this.#limits);
  }

  /**
   * Follows the next revision. One that is known already changes nothing.
   *
   * @throws {RevisionGapError}
   */
  advance(change: VpcChange): void {
    if (change.revision <= this.revision) return;
    if (change.revision !== this.revision + 1n) {
      throw new RevisionGapError('a change does not join the one before');
    }
    this.#history.add(change.revision, this.#visibility.apply(updatesOf(change)));
  }

  /** Answers for exactly an interval. */
  compile({ logIncarnation, from, to }: Interval): IntervalAnswer {
    if (logIncarnation !== this.#logIncarnation) {
      return { state: from === 0n ? 'ahead' : 'compacted' };
    }
    if (to > this.revision) return { state: 'ahead' };
    if (from !== 0n) return known(this.#history.between(from, to));
    const shown = this.#history.undo(this.#visibility.pairs(), to);
    return known(shown && { shown, hidden: [] });
  }
}

function known(changes: PairChanges | undefined): IntervalAnswer {
  return changes === undefined ? { state: 'compacted' } : { state: 'known', changes };
}

/** What a change makes of each resource that it touched; of one touched twice, the last. */
function updatesOf({ changes }: VpcChange): ResourceUpdate[] {
  const updates = new Map<string, ResourceUpdate>();
  for (const { before, after } of changes) {
    const update = after === undefined ? removalOf(before) : updateOf(after);
    if (update !== undefined) updates.set(keyOf(update), update);
  }
  return [...updates.values()];
}

function removalOf(image: ResourceImage | undefined): ResourceUpdate | undefined {
  const update = image && updateOf(image);
  return update && { kind: update.kind, id: update.id };
}

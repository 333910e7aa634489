/**
 * What one reader of all change logs still has to be told.
 *
 * Each VPC begins with a snapshot, which the shell reads, and goes on with the changes after it. What waits is bounded:
 * beyond it a VPC's changes are dropped and the VPC begins anew with a snapshot. So there is never a gap.
 */
import type { VpcChange } from '@nexodus/contracts/event';

/** What the reader gets next. */
export type ChangeQueueItem =
  /** The shell reads a snapshot, hands its revision to `begin`, and sends it. */
  | { readonly kind: 'snapshot'; readonly vpcId: string }
  | { readonly kind: 'change'; readonly change: VpcChange }
  | { readonly kind: 'removed'; readonly vpcId: string };

interface Slot {
  state: 'stale' | 'loading' | 'following' | 'removed';
  /** Last revision that the reader was told. */
  revision: bigint;
  waiting: VpcChange[];
}

/** Of one reader. */
export class ChangeQueue {
  readonly #maxWaiting: number;
  readonly #slots = new Map<string, Slot>();
  /** VPCs with something to say, in the order in which they came up. */
  readonly #ready = new Set<string>();
  #waitingCount = 0;

  /** @param maxWaiting changes that may wait, of all VPCs together */
  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** The VPC is there and begins anew with a snapshot. */
  reset(vpcId: string): void {
    const slot = this.#slots.get(vpcId);
    if (slot !== undefined) this.#drop(slot);
    this.#slots.set(vpcId, { state: 'stale', revision: 0n, waiting: [] });
    this.#ready.add(vpcId);
  }

  /** The VPC is no more. */
  remove(vpcId: string): void {
    const slot = this.#slots.get(vpcId);
    if (slot === undefined) return;
    this.#drop(slot);
    slot.state = 'removed';
    this.#ready.add(vpcId);
  }

  /** Takes the next change of a VPC in; false when too much waits and the VPC begins anew. */
  add(change: VpcChange): boolean {
    const slot = this.#slots.get(change.vpcId);
    if (slot === undefined || slot.state === 'stale' || slot.state === 'removed') return true;
    if (this.#waitingCount >= this.#maxWaiting) {
      this.reset(change.vpcId);
      return false;
    }
    slot.waiting.push(change);
    this.#waitingCount += 1;
    if (slot.state === 'following') this.#ready.add(change.vpcId);
    return true;
  }

  /** Next thing to tell; undefined when there is none. */
  take(): ChangeQueueItem | undefined {
    for (const vpcId of this.#ready) {
      this.#ready.delete(vpcId);
      const slot = this.#slots.get(vpcId);
      const item = slot === undefined ? undefined : this.#takeFrom(vpcId, slot);
      if (item !== undefined) return item;
    }
    return undefined;
  }

  /** A snapshot of this revision was read after it was asked for; false when it may not be sent any more. */
  begin(vpcId: string, revision: bigint): boolean {
    const slot = this.#slots.get(vpcId);
    if (slot?.state !== 'loading') return false;
    slot.state = 'following';
    slot.revision = revision;
    if (slot.waiting.length > 0) this.#ready.add(vpcId);
    return true;
  }

  #takeFrom(vpcId: string, slot: Slot): ChangeQueueItem | undefined {
    switch (slot.state) {
      case 'removed':
        this.#slots.delete(vpcId);
        return { kind: 'removed', vpcId };
      case 'stale':
        slot.state = 'loading';
        return { kind: 'snapshot', vpcId };
      case 'loading':
        return undefined;
      case 'following':
        return this.#takeChange(vpcId, slot);
    }
  }

  /** The next change that the snapshot did not hold; a VPC with more to say queues up again. */
  #takeChange(vpcId: string, slot: Slot): ChangeQueueItem | undefined {
    const isNew = ({ revision }: VpcChange): boolean => revision > slot.revision;
    const index = slot.waiting.findIndex(isNew);
    const passed = slot.waiting.splice(0, index === -1 ? slot.waiting.length : index + 1);
    this.#waitingCount -= passed.length;
    const change = index === -1 ? undefined : passed.at(-1);
    if (change === undefined) return undefined;
    if (change.revision !== slot.revision + 1n) {
      this.reset(vpcId);
      return undefined;
    }
    slot.revision = change.revision;
    if (slot.waiting.length > 0) this.#ready.add(vpcId);
    return { kind: 'change', change };
  }

  #drop(slot: Slot): void {
    this.#waitingCount -= slot.waiting.length;
    slot.waiting = [];
  }
}

import type { VpcChange } from '@nexodus/contracts/event';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChangeQueue } from './change-queue.ts';
import { isGapless, judgeHead } from './log-cursor.ts';

const VPCS = ['a', 'b', 'c'];

type Event = { kind: 'commit' | 'deliver' | 'restore' | 'remove'; vpc: number } | { kind: 'read' };

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: vpcEvent('commit') },
  { weight: 4, arbitrary: vpcEvent('deliver') },
  { weight: 1, arbitrary: vpcEvent('restore') },
  { weight: 1, arbitrary: vpcEvent('remove') },
  { weight: 4, arbitrary: fc.constant({ kind: 'read' as const }) },
);

function vpcEvent<K extends 'commit' | 'deliver' | 'restore' | 'remove'>(kind: K) {
  return fc.record({ kind: fc.constant(kind), vpc: fc.integer({ min: 0, max: VPCS.length - 1 }) });
}

/** A log, the follower that reads it late, and a reader that is told later still. */
class World {
  readonly queue = new ChangeQueue(5);
  readonly heads = new Map<string, bigint>();
  readonly delivered = new Map<string, bigint>();
  readonly told = new Map<string, bigint>();

  do(what: Event): void {
    if (what.kind === 'read') {
      this.read();
      return;
    }
    const vpcId = VPCS[what.vpc]!;
    if (what.kind === 'commit') this.commit(vpcId);
    else if (what.kind === 'deliver') this.deliver(vpcId);
    else if (what.kind === 'restore') this.restore(vpcId);
    else this.remove(vpcId);
  }

  commit(vpcId: string): void {
    const head = this.heads.get(vpcId);
    this.heads.set(vpcId, (head ?? 0n) + 1n);
    if (head === undefined) this.restore(vpcId);
  }

  restore(vpcId: string): void {
    const head = this.heads.get(vpcId);
    if (head === undefined) return;
    this.delivered.set(vpcId, head);
    this.queue.reset(vpcId);
  }

  remove(vpcId: string): void {
    this.heads.delete(vpcId);
    this.delivered.delete(vpcId);
    this.queue.remove(vpcId);
  }

  deliver(vpcId: string): void {
    const delivered = this.delivered.get(vpcId);
    if (delivered === undefined || delivered >= (this.heads.get(vpcId) ?? 0n)) return;
    this.delivered.set(vpcId, delivered + 1n);
    const change: VpcChange = { vpcId, revision: delivered + 1n, changes: [] };
    this.queue.add(change);
  }

  read(): boolean {
    const item = this.queue.take();
    if (item === undefined) return false;
    if (item.kind === 'removed') this.told.delete(item.vpcId);
    if (item.kind === 'snapshot') this.readSnapshot(item.vpcId);
    if (item.kind === 'change') {
      const { vpcId, revision } = item.change;
      expect(revision).toBe((this.told.get(vpcId) ?? -1n) + 1n);
      this.told.set(vpcId, revision);
    }
    return true;
  }

  readSnapshot(vpcId: string): void {
    const head = this.heads.get(vpcId);
    if (head !== undefined && this.queue.begin(vpcId, head)) this.told.set(vpcId, head);
  }
}

test('a reader is told every VPC without a gap and up to its head, however slow it is', () => {
  const law = fc.property(fc.array(event, { maxLength: 120, size: 'max' }), (events) => {
    const world = new World();
    for (const what of events) world.do(what);
    for (const vpcId of VPCS) {
      while ((world.delivered.get(vpcId) ?? 0n) < (world.heads.get(vpcId) ?? 0n))
        world.deliver(vpcId);
    }
    while (world.read());
    expect(world.told).toEqual(world.heads);
  });
  fc.assert(law, { numRuns: 500 });
});

test('a head asks for reading, for a restart, or for nothing', () => {
  const cursor = { logIncarnation: 'x', revision: 5n };
  expect(judgeHead(cursor, { logIncarnation: 'x', revision: 5n })).toBe('current');
  expect(judgeHead(cursor, { logIncarnation: 'x', revision: 6n })).toBe('read');
  expect(judgeHead(cursor, { logIncarnation: 'x', revision: 4n })).toBe('restart');
  expect(judgeHead(cursor, { logIncarnation: 'y', revision: 9n })).toBe('restart');
});

test('a missing or repeated revision is a gap', () => {
  const changes = (...revisions: bigint[]): VpcChange[] =>
    revisions.map((revision) => ({ vpcId: 'a', revision, changes: [] }));
  expect(isGapless(3n, changes())).toBe(true);
  expect(isGapless(3n, changes(4n, 5n))).toBe(true);
  expect(isGapless(3n, changes(5n))).toBe(false);
  expect(isGapless(3n, changes(4n, 4n))).toBe(false);
});

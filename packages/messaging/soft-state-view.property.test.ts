import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { RecordVersion } from './record-store.ts';
import { SoftStateView } from './soft-state-view.ts';

const KEYS = ['a', 'b', 'c'];

/** A history of writes: the revision is the position. */
const history = fc.array(fc.record({ key: fc.constantFrom(...KEYS), isLive: fc.boolean() }), {
  maxLength: 20,
});

function versionsOf(writes: readonly { key: string; isLive: boolean }[]): RecordVersion[] {
  return writes.map(({ key, isLive }, index) => ({
    key,
    revision: index + 1,
    record: { isLive, epoch: 1n, sequence: BigInt(index), leaseUntil: 0, value: new Uint8Array() },
  }));
}

function fold(view: SoftStateView, told: Map<string, bigint>): void {
  for (let change = view.take(); change !== undefined; change = view.take()) {
    if (change.kind === 'put') told.set(change.entry.key, change.entry.sequence);
    else told.delete(change.key);
  }
}

test('however changes and readings are mixed, lost, repeated and taken, a last reading makes the reader right', () => {
  const steps = fc.array(fc.tuple(fc.nat(), fc.boolean(), fc.boolean()), { maxLength: 40 });
  const property = fc.property(history, steps, (writes, mix) => {
    const versions = versionsOf(writes);
    const view = new SoftStateView();
    const told = new Map<string, bigint>();
    const reading = (until: number): RecordVersion[] => [
      ...new Map(versions.slice(0, until).map((version) => [version.key, version])).values(),
    ];
    let seenUntil = 0;
    for (const [position, isReading, isTaken] of mix) {
      // Single changes may come in any order, readings only grow.
      const version = versions[position % Math.max(1, versions.length)];
      if (isReading) {
        seenUntil = Math.max(seenUntil, position % (versions.length + 1));
        view.replace(reading(seenUntil), []);
      } else if (version !== undefined) view.observe(version);
      if (isTaken) fold(view, told);
    }
    view.replace(reading(versions.length), view.keys());
    fold(view, told);
    const expected = reading(versions.length).flatMap(({ key, record }) =>
      record?.isLive === true ? [[key, record.sequence] as const] : [],
    );
    expect(told).toEqual(new Map(expected));
  });
  fc.assert(property);
});

test('a key that is in no reading any more has gone, unless it came after the reading was begun', () => {
  const [first, second] = versionsOf([
    { key: 'old', isLive: true },
    { key: 'new', isLive: true },
  ]);
  const view = new SoftStateView();
  if (first !== undefined) view.observe(first);
  const before = view.keys();
  if (second !== undefined) view.observe(second);
  view.replace([], before);
  expect([view.take(), view.take(), view.take()]).toMatchObject([
    { kind: 'put', entry: { key: 'new' } },
    { kind: 'delete', key: 'old' },
    undefined,
  ]);
});

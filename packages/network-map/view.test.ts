import { type ViewEntries, type ViewInterval, ViewKind } from '@nexodus/contracts/agent';
import { describe, expect, test } from 'vitest';
import { applyBookmark, applyInterval, type View, ViewGap, type ViewGapReason } from './view.ts';

const snapshot: ViewInterval = {
  vpcId: 'vpc',
  logIncarnation: 'log',
  kind: ViewKind.SNAPSHOT,
  from: 0n,
  to: 5n,
  frames: 1,
  traceparent: '',
};
const delta: ViewInterval = { ...snapshot, kind: ViewKind.DELTA, from: 5n, to: 7n };

function frame(...entries: [key: string, value: string][]): ViewEntries {
  return { entries: entries.map(([key, value]) => ({ key, value: Buffer.from(value) })) };
}

function held(): View {
  return applyInterval(undefined, snapshot, [frame(['self', 's'], ['peer/1', 'a'])]);
}

describe('applying an interval', () => {
  test('a delta adds, replaces and removes in order', () => {
    const changes = frame(['peer/2', 'b'], ['peer/1', ''], ['peer/2', 'c']);
    const view = applyInterval(held(), delta, [changes]);
    expect(view.revision).toBe(7n);
    expect([...view.entries].map(([key, value]) => [key, String(value)])).toEqual([
      ['self', 's'],
      ['peer/2', 'c'],
    ]);
  });

  test('a snapshot replaces what was there, whatever log it came from', () => {
    const other = { ...snapshot, logIncarnation: 'restored', to: 2n };
    const view = applyInterval(held(), other, [frame(['self', 'n'])]);
    expect([view.logIncarnation, view.revision, view.entries.size]).toEqual(['restored', 2n, 1]);
  });

  test('an urgent removal changes entries and keeps the revision, so that the next delta joins', () => {
    const hidden = applyInterval(held(), { ...delta, to: 5n }, [frame(['peer/1', ''])]);
    expect([hidden.revision, hidden.entries.has('peer/1')]).toEqual([5n, false]);
    const after = applyInterval(hidden, delta, [frame(['peer/1', ''])]);
    expect(after.revision).toBe(7n);
    expect(after.digest.equals(hidden.digest.toBytes())).toBe(true);
  });

  test('an interval without frames moves the revision alone', () => {
    expect(applyInterval(held(), { ...delta, frames: 0 }, []).revision).toBe(7n);
  });

  test('the view that is changed stays as it was', () => {
    const before = held();
    applyInterval(before, delta, [frame(['peer/1', ''])]);
    expect(before.entries.has('peer/1')).toBe(true);
  });
});

describe('an interval that does not continue the view is refused', () => {
  const cases: [ViewGapReason, View | undefined, Partial<ViewInterval>][] = [
    ['no-view', undefined, {}],
    ['wrong-log', held(), { vpcId: 'other' }],
    ['wrong-log', held(), { logIncarnation: 'other' }],
    ['not-adjacent', held(), { from: 4n }],
    ['not-adjacent', held(), { from: 6n }],
    ['inverted', held(), { to: 4n }],
    ['wrong-frames', held(), { frames: 2 }],
    ['unknown-kind', held(), { kind: ViewKind.UNSPECIFIED }],
    ['unknown-kind', held(), { kind: ViewKind.UNRECOGNIZED }],
  ];
  test.for(cases)('%s', ([reason, view, change]) => {
    const attempt = (): View => applyInterval(view, { ...delta, ...change }, [frame()]);
    expect(attempt).toThrow(ViewGap);
    expect(attempt).toThrow(expect.objectContaining({ reason }));
  });
});

test('a bookmark moves the revision forward and never back', () => {
  expect(applyBookmark(held(), 9n).revision).toBe(9n);
  expect(applyBookmark(held(), 3n).revision).toBe(5n);
});

import { type ViewEntry, type ViewInterval, ViewKind } from '@nexodus/contracts/agent';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeView } from './decode-view.ts';
import { ViewDigest } from './view-digest.ts';
import { applyBookmark, applyInterval, type View } from './view.ts';
import { decodeEntry } from './view-entry.ts';

/** One step of a VPC's history: what changes, in how many frames, or nothing that concerns the device. */
const step = fc.record({
  changes: fc.array(
    fc.record({
      key: fc.constantFrom('self', 'peer/1', 'peer/2', 'peer/3', 'grant/1'),
      value: fc.uint8Array({ maxLength: 3 }).map((value) => Buffer.from(value)),
    }),
    { maxLength: 6 },
  ),
  frames: fc.integer({ min: 1, max: 3 }),
  advance: fc.bigInt({ min: 0n, max: 3n }),
  asBookmark: fc.boolean(),
});

function interval(kind: ViewInterval['kind'], from: bigint, to: bigint): ViewInterval {
  return { vpcId: 'v', logIncarnation: 'l', kind, from, to, frames: 1, traceparent: '' };
}

function inFrames(changes: ViewEntry[], count: number): { entries: ViewEntry[] }[] {
  const size = Math.ceil(changes.length / count) || 1;
  return Array.from({ length: count }, (_, index) => ({
    entries: changes.slice(index * size, (index + 1) * size),
  }));
}

test('folding the deltas of any history equals a fresh snapshot, and so does the digest', () => {
  const law = fc.property(fc.array(step, { maxLength: 20 }), (history) => {
    let view: View = applyInterval(undefined, interval(ViewKind.SNAPSHOT, 0n, 1n), [
      { entries: [] },
    ]);
    const model = new Map<string, Buffer>();
    for (const { changes, frames, advance, asBookmark } of history) {
      const to = view.revision + advance;
      if (asBookmark) {
        view = applyBookmark(view, to);
        continue;
      }
      for (const { key, value } of changes) {
        if (value.length === 0) model.delete(key);
        else model.set(key, value);
      }
      const delta = { ...interval(ViewKind.DELTA, view.revision, to), frames };
      view = applyInterval(view, delta, inFrames(changes, frames));
    }
    const entries = [...model].map(([key, value]) => ({ key, value }));
    const fresh = applyInterval(undefined, interval(ViewKind.SNAPSHOT, 0n, view.revision), [
      { entries },
    ]);
    expect(view.entries).toEqual(fresh.entries);
    expect(view.digest.equals(fresh.digest.toBytes())).toBe(true);
    expect(view.digest.equals(ViewDigest.of(model).toBytes())).toBe(true);
  });
  fc.assert(law);
});

test('the digest does not depend on the order of the entries', () => {
  const entries = fc.uniqueArray(fc.tuple(fc.string(), fc.uint8Array()), {
    selector: ([key]) => key,
  });
  const law = fc.property(entries, (list) => {
    expect(ViewDigest.of(list.toReversed()).equals(ViewDigest.of(list).toBytes())).toBe(true);
  });
  fc.assert(law);
});

test('no bytes under no key make an entry throw', () => {
  const law = fc.property(fc.string(), fc.uint8Array({ maxLength: 200 }), (key, value) => {
    expect(['self', 'peer', 'unknown', 'malformed']).toContain(decodeEntry(key, value).kind);
    decodeView(new Map([[key, value]]));
  });
  fc.assert(law);
});

import type { ViewEntry } from '@nexodus/contracts/agent';
import { describe, expect, test } from 'vitest';
import { ViewOutbox } from './view-outbox.ts';

function entry(key: string, value = 'x'): ViewEntry {
  return { key, value: Buffer.from(value) };
}

function change(to: bigint, ...entries: ViewEntry[]) {
  return { entries, to, traceparent: `trace-${to}`, seenAtMs: Number(to) };
}

describe('what one stream is told', () => {
  test('changes that wait come out as one interval with the newest of each entry', () => {
    const outbox = new ViewOutbox(10);
    outbox.attach(3n);
    outbox.add(change(5n, entry('a', '1'), entry('b')));
    outbox.add(change(6n, entry('a', '2')));
    expect(outbox.take(9n)).toMatchObject({
      kind: 'delta',
      from: 3n,
      to: 6n,
      entries: [entry('a', '2'), entry('b')],
      traceparent: 'trace-6',
      seenAtMs: 5,
    });
    expect(outbox.take(9n)).toBeUndefined();
  });

  test('a bookmark is given only when nothing waits, and the next interval joins it', () => {
    const outbox = new ViewOutbox(10);
    outbox.attach(3n);
    outbox.add(change(5n, entry('a')));
    expect(outbox.bookmark(7n)).toBe(0n);
    outbox.take(7n);
    expect(outbox.bookmark(7n)).toBe(7n);
    outbox.add(change(8n, entry('a')));
    expect(outbox.take(8n)).toMatchObject({ from: 7n, to: 8n });
  });

  test('more changes than it holds become a snapshot of the moment at which it is taken', () => {
    const outbox = new ViewOutbox(2);
    outbox.attach(1n);
    expect(outbox.add(change(2n, entry('a'), entry('b')))).toBe(true);
    expect(outbox.add(change(3n, entry('c')))).toBe(false);
    outbox.add(change(4n, entry('d')));
    expect(outbox.bookmark(4n)).toBe(0n);
    expect(outbox.take(4n)).toEqual({ kind: 'snapshot', to: 4n });
    outbox.add(change(5n, entry('a')));
    expect(outbox.take(5n)).toMatchObject({ from: 4n, to: 5n });
  });

  test('before its view is compared it is told removals at the revision that it holds', () => {
    const outbox = new ViewOutbox(10);
    outbox.hold(4n);
    outbox.add(change(9n, entry('peer/1', '')));
    expect(outbox.bookmark(9n)).toBe(0n);
    expect(outbox.take(9n)).toMatchObject({ from: 4n, to: 4n, entries: [entry('peer/1', '')] });
  });

  test('a stream of which nothing is known is told nothing', () => {
    const outbox = new ViewOutbox(10);
    outbox.add(change(9n, entry('peer/1', '')));
    expect(outbox.take(9n)).toBeUndefined();
    expect(outbox.bookmark(9n)).toBe(0n);
  });
});

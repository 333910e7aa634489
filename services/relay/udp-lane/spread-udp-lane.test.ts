import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitPorts } from './spread-udp-lane.ts';

test('ports are split into parts that join without a gap and lose no pair', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30_000 }),
      fc.integer({ min: 2, max: 30_000 }),
      fc.integer({ min: 1, max: 16 }),
      (first, count, parts) => {
        const split = splitPorts({ first, last: first + count - 1 }, parts);
        expect(split).toHaveLength(parts);
        expect(split[0]?.first).toBe(first);
        expect(split.every((part) => (part.last - part.first + 1) % 2 === 0)).toBe(true);
        const ends = split.map(({ last }) => last + 1);
        expect(split.slice(1).map((part) => part.first)).toEqual(ends.slice(0, -1));
        expect((split.at(-1)?.last ?? 0) - first + 1).toBe(count - (count % 2));
      },
    ),
  );
});

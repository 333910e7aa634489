import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isLabel, suffixedLabel, toLabel } from './hostname.ts';

test.each([
  ['Web.example.com', 'web'],
  ['my_laptop', 'my-laptop'],
  ['--', 'device'],
  ['', 'device'],
  ['Ünïcode', 'n-code'],
])('%j becomes %s', (wish, label) => {
  expect(toLabel(wish)).toBe(label);
});

test('whatever a machine calls itself, it gets a label, and a suffixed label is one too', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 2, max: 1e9 }), (wish, n) => {
      const label = toLabel(wish);
      expect(isLabel(label)).toBe(true);
      expect(isLabel(suffixedLabel(label, String(n)))).toBe(true);
      expect(suffixedLabel(label, String(n))).not.toBe(label);
    }),
  );
});

import { expect, test } from 'vitest';

import { matchesSubject } from './subject.ts';

test.each([
  ['a.b', 'a.b', true],
  ['a.b', 'a.c', false],
  ['a.b', 'a', false],
  ['a', 'a.b', false],
  ['a.*', 'a.b', true],
  ['a.*', 'a.b.c', false],
  ['a.>', 'a.b.c', true],
  ['a.>', 'a', false],
  ['*.b.>', 'x.b.c', true],
  ['>', 'a', true],
])('the pattern %s against %s: %s', (pattern, subject, expected) => {
  expect(matchesSubject(pattern, subject)).toBe(expected);
});

import { expect, test } from 'vitest';
import { freeSessions } from './capacity.ts';

test('what is free is what it can carry without what it carries, and never less than none', () => {
  expect(freeSessions({ capacity: 10, sessions: 4 })).toBe(6);
  expect(freeSessions({ capacity: 4, sessions: 10 })).toBe(0);
});

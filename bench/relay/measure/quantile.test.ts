import { expect, test } from 'vitest';
import { quantile } from './quantile.ts';

test('a quantile is one of the values', () => {
  const values = Array.from({ length: 100 }, (_none, index) => 99 - index);
  expect(quantile(values, 0.5)).toBe(50);
  expect(quantile(values, 0.99)).toBe(99);
  expect(quantile([5], 0.99)).toBe(5);
  expect(quantile([], 0.5)).toBeNaN();
});

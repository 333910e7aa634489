import { type IpAddress, parseAssignablePrefix, parseIpAddress } from '@nexodus/netip';
import { describe, expect, test } from 'vitest';
import { isAddressOf, usableRange } from './address-pool.ts';
import { cursorAfter, searchFreeAddress } from './free-address-search.ts';

function v4(text: string): IpAddress<4> {
  const address = parseIpAddress(text);
  if (!isAddressOf(address, 4)) throw new Error(text);
  return address;
}

function rangeOf(text: string) {
  const parsed = parseAssignablePrefix(4, text);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return usableRange(parsed.prefix);
}

const range = rangeOf('10.0.0.0/24');

function search(cursor: string, taken: readonly number[]) {
  const addresses = taken
    .toSorted((left, right) => left - right)
    .map((host) => v4(`10.0.0.${host}`));
  const steps = searchFreeAddress(range, v4(cursor));
  let queries = 0;
  let step = steps.next();
  while (step.done !== true) {
    queries += 1;
    const { from, limit } = step.value;
    step = steps.next(addresses.filter(({ value }) => value >= from.value).slice(0, limit));
  }
  return { found: step.value, queries };
}

describe('the search for a free address', () => {
  test.each([
    { name: 'takes the cursor where it is free', cursor: 1, taken: [2, 3], expected: 1 },
    { name: 'skips a run of taken ones', cursor: 1, taken: [1, 2, 3, 5], expected: 4 },
    { name: 'wraps at the end', cursor: 253, taken: [253, 254], expected: 1 },
    { name: 'wraps past taken ones at the start', cursor: 254, taken: [1, 254], expected: 2 },
    {
      name: 'begins at the first when the cursor lies outside',
      cursor: 255,
      taken: [],
      expected: 1,
    },
  ])('$name', ({ cursor, taken, expected }) => {
    expect(search(`10.0.0.${cursor}`, taken).found).toEqual(v4(`10.0.0.${expected}`));
  });

  test('finds the only free address wherever the cursor stands, and none in a full range', () => {
    const all = Array.from({ length: 254 }, (_unused, index) => index + 1);
    for (const free of [1, 8, 9, 72, 128, 253, 254]) {
      const others = all.filter((host) => host !== free);
      for (const cursor of [1, 9, 100, 254])
        expect(search(`10.0.0.${cursor}`, others).found).toEqual(v4(`10.0.0.${free}`));
    }
    expect(search('10.0.0.77', all).found).toBeUndefined();
  });

  test('asks once where the cursor is free, and in growing portions where it is not', () => {
    expect(search('10.0.0.1', [5, 6]).queries).toBe(1);
    const run = Array.from({ length: 200 }, (_unused, index) => index + 1);
    expect(search('10.0.0.1', run).queries).toBeLessThanOrEqual(3);
  });

  test('goes on behind the address given last, and from the start behind the last', () => {
    expect(cursorAfter(range, v4('10.0.0.7'))).toEqual(v4('10.0.0.8'));
    expect(cursorAfter(range, v4('10.0.0.254'))).toEqual(v4('10.0.0.1'));
  });
});

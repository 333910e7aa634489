import { expect, test } from 'vitest';
import { isWhole, orderedPairs } from './measure-pairs.ts';
import { renderPairTable } from './pair-table.ts';

const good = { pingMs: 0.456, megabitsPerSecond: 812.4 };
const dead = { pingMs: undefined, megabitsPerSecond: undefined };

test('a pair is a line with a figure for each family, and what failed says so', () => {
  const rows = renderPairTable([
    { from: 'a', to: 'b', ipv4: good, ipv6: dead, path: '10.83.0.12:41000' },
    { from: 'b', to: 'a', ipv4: { ...good, megabitsPerSecond: undefined }, ipv6: good, path: '' },
  ])
    .split('\n')
    .map((line) => line.split('│').map((cell) => cell.trim()))
    .filter((cells) => cells.length > 1);
  expect(rows.map((cells) => cells.slice(1, -1))).toEqual([
    ['from -> to', 'ping IPv4', 'ping IPv6', 'TCP IPv4', 'TCP IPv6', 'path'],
    ['a -> b', '0.46 ms', 'FAILED', '812 Mbit/s', '-', '10.83.0.12:41000'],
    ['b -> a', '0.46 ms', '0.46 ms', 'FAILED', '812 Mbit/s', '-'],
  ]);
});

test('a pair is whole only when both families carry what was measured', () => {
  const pair = {
    from: 'a',
    to: 'b',
    ipv4: good,
    ipv6: { ...good, megabitsPerSecond: undefined },
    path: '',
  };
  expect(isWhole(pair, false)).toBe(true);
  expect(isWhole(pair, true)).toBe(false);
  expect(isWhole({ ...pair, ipv6: dead }, false)).toBe(false);
});

test('pairs are ordered: each machine with every other, in both directions', () => {
  expect(orderedPairs(['a', 'b', 'c']).map((pair) => pair.join(''))).toEqual([
    'ab',
    'ac',
    'ba',
    'bc',
    'ca',
    'cb',
  ]);
});

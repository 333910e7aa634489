import { expect, test } from 'vitest';
import { takeArgument } from './take-argument.ts';

test.for([
  [['node', 'nexd', 'up', '--proxy', 'X', '--vpc', 'a'], ['node', 'nexd', 'up', '--vpc', 'a'], 'X'],
  [['node', 'nexd', '--proxy=X', 'up'], ['node', 'nexd', 'up'], 'X'],
  [['node', 'nexd', '--proxy=X', '--proxy', 'Y'], ['node', 'nexd'], 'Y'],
  [['node', 'nexd', '--', '--proxy', 'X'], ['node', 'nexd', '--', '--proxy', 'X'], undefined],
  [['node', 'nexd', '--proxy'], ['node', 'nexd', '--proxy'], undefined],
  [['node', 'nexd', '--proxyish', 'X'], ['node', 'nexd', '--proxyish', 'X'], undefined],
] as const)('%j leaves %j', ([argv, rest, value]) => {
  expect(takeArgument(argv, '--proxy')).toEqual({ rest, value });
});

import { expect, test } from 'vitest';

import { isMapped } from './id-map.ts';

const WHOLE_MACHINE = '         0          0 4294967295\n';
const ONE_USER = '         0       1000          1\n';
const CONTAINER = '         0       1000          1\n         1     100000      65536\n';

test.each([
  [60_989, WHOLE_MACHINE, true],
  [0, ONE_USER, true],
  [60_989, ONE_USER, false],
  [60_989, CONTAINER, true],
  [65_536, CONTAINER, true],
  [65_537, CONTAINER, false],
  [0, '', false],
])('user id %d under the map %j exists: %j', (id, map, expected) => {
  expect(isMapped(id, map)).toBe(expected);
});

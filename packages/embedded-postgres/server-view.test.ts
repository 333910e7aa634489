import { expect, test } from 'vitest';

import { chooseMountPoint } from './server-view.ts';

test.each([
  [['/root/nexodus/data'], '/mnt'],
  [['/mnt/disk/data', '/root/native'], '/media'],
  [['/mnt', '/media/x', '/srv/y'], '/opt'],
  [['/mntx/data'], '/mnt'],
])('a view over %j is put at %s, where it hides none of them', (paths, expected) => {
  expect(chooseMountPoint(paths)).toBe(expected);
});

test('a view that would hide a directory everywhere is refused', () => {
  expect(() => chooseMountPoint(['/mnt', '/media', '/srv', '/opt'])).toThrow('must be free');
});

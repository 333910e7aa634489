import { expect, test } from 'vitest';
import { findObstacles } from './own-namespaces.ts';

test('a machine that gives namespaces and tunnels has no obstacle', () => {
  expect(findObstacles(undefined, '/dev/null')).toEqual([]);
});

test('each obstacle is one line with its cause and what to do about it', () => {
  const obstacles = findObstacles('unshare failed: Operation not permitted', '/dev/no-such-device');
  expect(obstacles).toEqual([
    expect.stringMatching(
      /^this user cannot make namespaces \(unshare failed: .*run it as root, or .*sysctl -w kernel\./,
    ),
    expect.stringMatching(/^\/dev\/no-such-device cannot be opened, .*chmod 0666 /),
  ]);
  expect(obstacles.join('')).not.toContain('\n');
});

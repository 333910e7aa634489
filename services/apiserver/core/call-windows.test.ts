import { expect, test } from 'vitest';
import { CallWindows } from './call-windows.ts';

test('calls beyond the allowance wait for the end of the window, and other keys do not', () => {
  const windows = new CallWindows({ calls: 2, windowMs: 100 });
  expect([windows.count('a', 0), windows.count('a', 10), windows.count('a', 30)]).toEqual([
    undefined,
    undefined,
    70,
  ]);
  expect(windows.count('b', 30)).toBeUndefined();
  expect(windows.count('a', 100)).toBeUndefined();
});

test('a call that is given back may be made again', () => {
  const windows = new CallWindows({ calls: 1, windowMs: 100 });
  for (let call = 0; call < 5; call += 1) {
    expect(windows.count('a', 0)).toBeUndefined();
    windows.giveBack('a');
  }
  windows.giveBack('a');
  expect(windows.count('a', 0)).toBeUndefined();
  expect(windows.count('a', 0)).toBe(100);
});

test('any number of keys takes a bounded amount of memory, and none once the windows ended', () => {
  const windows = new CallWindows({ calls: 1, windowMs: 100 });
  for (let key = 0; key < 70_000; key += 1) windows.count(String(key), 0);
  expect(windows.size).toBeLessThanOrEqual(65_536);
  windows.count('late', 100);
  expect(windows.size).toBe(1);
});

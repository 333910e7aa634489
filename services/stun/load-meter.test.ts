import { expect, test } from 'vitest';
import { LoadMeter } from './load-meter.ts';

const none = {
  answered: 0,
  refused: 0,
  limited: 0,
  badSource: 0,
  notStun: 0,
  malformed: 0,
  notARequest: 0,
  otherMethod: 0,
  unsent: 0,
};

test('the load is what was asked since it was told before, answered or not, without what was no request', () => {
  const meter = new LoadMeter(0);
  expect(meter.read(undefined, 0)).toBe(0);
  expect(meter.read({ ...none, answered: 50, refused: 20, limited: 30, notStun: 9 }, 10_000)).toBe(
    10,
  );
  expect(meter.read({ ...none, answered: 50, refused: 20, limited: 30, notStun: 99 }, 20_000)).toBe(
    0,
  );
});

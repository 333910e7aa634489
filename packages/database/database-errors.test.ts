import { expect, test } from 'vitest';

import { isForeignKeyViolation, isUnavailable, isUniqueViolation } from './database-errors.ts';

function errorOf(properties: object, message = 'x'): Error {
  return Object.assign(new Error(message), properties);
}

test.each([
  [errorOf({ code: '57P01' }), true],
  [errorOf({ code: '08006' }), true],
  [errorOf({ code: '53300' }), true],
  [errorOf({ code: '57014' }), true],
  [errorOf({ code: '08P01' }), false],
  [errorOf({ code: 'ECONNREFUSED' }), true],
  [errorOf({}, 'Connection terminated unexpectedly'), true],
  [errorOf({}, 'SELECT 1 - Client has encountered a connection error and is not queryable'), true],
  [errorOf({}, 'Connection terminated - or so'), false],
  [errorOf({ code: '23505' }), false],
  [errorOf({ code: '42601' }, 'Connection terminated unexpectedly'), false],
  [errorOf({}, 'something else'), false],
  ['57P01', false],
  [undefined, false],
])('unavailability is read from the code: %o -> %s', (error, expected) => {
  expect(isUnavailable(error)).toBe(expected);
});

test('a violation can be narrowed to one constraint', () => {
  const error = errorOf({ code: '23505', constraint: 'device_key' });
  expect(isUniqueViolation(error)).toBe(true);
  expect(isUniqueViolation(error, 'device_key')).toBe(true);
  expect(isUniqueViolation(error, 'device_name')).toBe(false);
  expect(isForeignKeyViolation(error)).toBe(false);
});

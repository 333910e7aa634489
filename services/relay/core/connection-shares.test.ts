import { expect, test } from 'vitest';
import { ConnectionShares } from './connection-shares.ts';

test('each IPv4 address has so many connections at once', () => {
  const shares = new ConnectionShares(2);
  expect(shares.enter('192.0.2.1')).toBe(true);
  expect(shares.enter('::ffff:192.0.2.1')).toBe(true);
  expect(shares.enter('192.0.2.1')).toBe(false);
  expect(shares.enter('192.0.2.2')).toBe(true);
  shares.leave('192.0.2.1');
  expect(shares.enter('192.0.2.1')).toBe(true);
});

test('all of an IPv6 /64 share', () => {
  const shares = new ConnectionShares(1);
  expect(shares.enter('2001:db8::1')).toBe(true);
  expect(shares.enter('2001:db8::ffff:0:0:1')).toBe(false);
  expect(shares.enter('2001:db8:0:1::1')).toBe(true);
  expect(shares.enter('fe80::1%eth0')).toBe(true);
  expect(shares.enter('fe80::2%eth0')).toBe(false);
});

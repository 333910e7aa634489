import { parseIpAddress } from '@nexodus/netip';
import { expect, test } from 'vitest';
import { SourceLimiter } from './source-limiter.ts';

const a = parseIpAddress('192.0.2.1');
const b = parseIpAddress('192.0.2.2');
const c = parseIpAddress('192.0.2.3');

function admitted(limiter: SourceLimiter, source: typeof a, times: number, nowMs: number): number {
  return Array.from({ length: times }, () => limiter.admit(source, nowMs)).filter(Boolean).length;
}

test('a source may send its burst at once, and then as many as its rate gives back', () => {
  const limiter = new SourceLimiter({ ratePerSecond: 10, burst: 5, tableSize: 8 });
  expect(admitted(limiter, a, 20, 0)).toBe(5);
  expect(admitted(limiter, a, 20, 99)).toBe(0);
  expect(admitted(limiter, a, 20, 100)).toBe(1);
  expect(admitted(limiter, a, 20, 400)).toBe(3);
  expect(admitted(limiter, a, 20, 60_000)).toBe(5);
});

test('one source takes nothing from another', () => {
  const limiter = new SourceLimiter({ ratePerSecond: 10, burst: 2, tableSize: 8 });
  expect(admitted(limiter, a, 100, 0)).toBe(2);
  expect(admitted(limiter, b, 100, 0)).toBe(2);
});

test('the addresses of an IPv6 /64 are one source, those of two are two', () => {
  const limiter = new SourceLimiter({ ratePerSecond: 10, burst: 1, tableSize: 8 });
  expect(limiter.admit(parseIpAddress('2001:db8:1:2::1'), 0)).toBe(true);
  expect(limiter.admit(parseIpAddress('2001:db8:1:2:ffff::'), 0)).toBe(false);
  expect(limiter.admit(parseIpAddress('2001:db8:1:3::1'), 0)).toBe(true);
});

test('an IPv4 address and the IPv6 /64 of the same number are two sources', () => {
  const limiter = new SourceLimiter({ ratePerSecond: 10, burst: 1, tableSize: 8 });
  expect(limiter.admit(parseIpAddress('0.0.0.1'), 0)).toBe(true);
  expect(limiter.admit(parseIpAddress('0:0:0:1::'), 0)).toBe(true);
});

test('a full table forgets the source admitted longest ago once its bucket is full again', () => {
  const limiter = new SourceLimiter({ ratePerSecond: 10, burst: 1, tableSize: 2 });
  limiter.admit(a, 0);
  limiter.admit(b, 50);
  expect(limiter.admit(c, 100)).toBe(true);
  expect(limiter.size).toBe(2);
  expect(limiter.admit(b, 120)).toBe(false);
  expect(limiter.admit(c, 120)).toBe(false);
});

test('newcomers to a table of buckets in use share one, and nobody in it is forgotten', () => {
  const limiter = new SourceLimiter({ ratePerSecond: 10, burst: 2, tableSize: 1 });
  expect(admitted(limiter, a, 5, 0)).toBe(2);
  expect(admitted(limiter, b, 5, 0)).toBe(2);
  expect(admitted(limiter, c, 5, 0)).toBe(0);
  expect(admitted(limiter, a, 5, 99)).toBe(0);
  expect(limiter.size).toBe(1);
});

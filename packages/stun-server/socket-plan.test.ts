import { expect, test } from 'vitest';
import { planSockets } from './socket-plan.ts';

const primary = [
  { host: '192.0.2.1', port: 3478 },
  { host: '2001:db8::1', port: 3478 },
];
const places = (discovery: Parameters<typeof planSockets>[1]) =>
  planSockets(primary, discovery).map(({ address, otherPort, otherAddress, both }) => [
    `${address.host} ${address.port}`,
    otherPort,
    otherAddress,
    both,
  ]);

test('without discovery each address has one socket that answers for itself', () => {
  expect(places(undefined)).toEqual([
    ['192.0.2.1 3478', undefined, undefined, undefined],
    ['2001:db8::1 3478', undefined, undefined, undefined],
  ]);
});

test('with a second port each address has two that answer for each other', () => {
  expect(places({ port: 3479, addresses: [] })).toEqual([
    ['192.0.2.1 3478', 1, undefined, undefined],
    ['192.0.2.1 3479', 0, undefined, undefined],
    ['2001:db8::1 3478', 3, undefined, undefined],
    ['2001:db8::1 3479', 2, undefined, undefined],
  ]);
});

test('with a second address of a family there are four, and each has the one with both other', () => {
  expect(places({ port: 3479, addresses: ['192.0.2.2'] }).slice(0, 4)).toEqual([
    ['192.0.2.1 3478', 1, 2, 3],
    ['192.0.2.1 3479', 0, 3, 2],
    ['192.0.2.2 3478', 3, 0, 1],
    ['192.0.2.2 3479', 2, 1, 0],
  ]);
});

test('a second port or address that is the first is refused', () => {
  expect(() => places({ port: 3478, addresses: [] })).toThrow(RangeError);
  expect(() => places({ port: 3479, addresses: ['192.0.2.1'] })).toThrow(RangeError);
});

test('discovery on a wildcard address is refused: no client could be told where to ask', () => {
  for (const host of ['0.0.0.0', '::', '0:0::0']) {
    const wildcard = [{ host, port: 3478 }];
    expect(() => planSockets(wildcard, { port: 3479, addresses: [] })).toThrow(RangeError);
    expect(planSockets(wildcard, undefined)).toHaveLength(1);
  }
});

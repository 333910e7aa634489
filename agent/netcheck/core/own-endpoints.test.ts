import { EndpointKind } from '@nexodus/contracts/type';
import { expect, test } from 'vitest';
import { ownEndpoints } from './own-endpoints.ts';

const own = (address: string) => ({
  interfaceName: 'eth0',
  address,
  family: address.includes(':') ? (6 as const) : (4 as const),
  isTemporary: false,
});
const seen = (address: string, port = 51_820) => ({
  server: { address: '192.0.2.1', port: 3_478 },
  mapped: { address, port },
});

test('own addresses come with the tunnel port, outside ones as they were seen', () => {
  const endpoints = ownEndpoints({
    own: [own('192.168.1.2'), own('2001:db8::2')],
    mapped: [seen('203.0.113.1', 7), seen('203.0.113.1', 7), seen('2001:db8::2')],
    tunnelPort: 51_820,
  });
  expect(endpoints).toEqual([
    { address: '192.168.1.2:51820', kind: EndpointKind.LOCAL },
    { address: '[2001:db8::2]:51820', kind: EndpointKind.LOCAL },
    { address: '203.0.113.1:7', kind: EndpointKind.REFLEXIVE },
  ]);
});

test('there are at most 16, with room for outside addresses, and none without a port', () => {
  const many = Array.from({ length: 30 }, (_unused, index) => own(`10.0.0.${index}`));
  const mapped = [1, 2, 3, 4, 5].map((port) => seen('203.0.113.1', port));
  const endpoints = ownEndpoints({ own: many, mapped, tunnelPort: 9 });
  expect(endpoints).toHaveLength(16);
  expect(endpoints.filter(({ kind }) => kind === EndpointKind.REFLEXIVE)).toHaveLength(3);
  expect(ownEndpoints({ own: many, mapped, tunnelPort: 0 })).toEqual([]);
});
